"""Memory does not follow the slide's size."""

import subprocess
import sys
from pathlib import Path


def test_sixty_thousand_pixels_square_in_under_3_gb(tmp_path: Path) -> None:
    script = Path(__file__).with_name("big_slide.py")
    done = subprocess.run([sys.executable, script, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    width, height, tiles, peak = map(int, done.stdout.split())
    assert (width, height) == (60_000, 60_000)
    assert tiles >= 59  # a whole row of the network's tiles was held in the writer
    assert peak < 3e9
