"""Commands -> functions; nothing else. Heavy modules are imported by the command that needs them.

One module per group of commands; their order here is the order in ``restain --help``.
"""

from restain.cli import preparing, training, staining, evaluating, comparing, looking, studying  # noqa: F401, I001  (registers the commands)
from restain.cli.app import app
from restain.cli.program import main

__all__ = ["app", "main"]
