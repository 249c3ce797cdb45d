"""What the list of weights tells a person."""

from pathlib import Path

import pytest

from restain.console.weights import print_weights
from restain.weights import WEIGHTS, list_weights


def test_the_list_names_every_file_the_folders_and_the_command(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cache" / "ab").mkdir(parents=True)
    (tmp_path / "cache" / "ab" / "cd.npy").write_bytes(b"0" * 2_500_000)
    print_weights(list_weights())
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line.split()[1] for line in lines[1 : 1 + len(WEIGHTS)]}
    assert rows == {name: "present" if name.startswith("lpips") else "missing" for name in WEIGHTS}
    assert f"weights folder: {folder} ($RESTAIN_WEIGHTS)" in lines
    assert f"feature cache:  {tmp_path / 'cache'} ($RESTAIN_CACHE), 1 vectors, 2.5 MB; safe to delete" in lines
    assert lines[-2].endswith(
        "fetch inception-fid inception-imagenet resnet50-imagenet vgg16-imagenet alexnet-imagenet"
    )
    assert lines[-1].startswith("to get st-lpips-alex and st-lpips-vgg: pip download --no-deps stlpips-pytorch==")
