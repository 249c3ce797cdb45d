"""``python -m restain.cli``."""

from restain.cli import main

main()
