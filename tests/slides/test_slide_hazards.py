"""What must never happen to a lab's files: an H&E written over, a run stopped by one slide, litter after a kill."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from small_slides import identity, write_slide

import restain
from restain.console.slides import print_run
from restain.errors import RestainError
from restain.images import RGB
from restain.slides.options import SlideOptions
from restain.slides.plan import plan_slide
from restain.slides.record import JournalIdentity, read_record
from restain.slides.run import single
from restain.slides.run.batch import SlideRun
from restain.slides.run.identity import describe, fingerprint, request_of
from restain.slides.run.job import Job, list_jobs
from restain.slides.run.journal import Journal, discard
from restain.slides.run.single import stain_slide
from restain.slides.seamless.normalisation import needs_of
from restain.stainer_files import load_stainer
from restain.wsi.geometry import Region
from restain.wsi.reader import open_slide

OWN = {"he.ome.tif", "he.json", "he.thumbnail.png", "he.preview.png", "he.tissue.geojson"}


def test_an_h_and_e_is_never_written_over(he_slide: Path, tmp_path: Path) -> None:
    ome = he_slide.rename(he_slide.with_name("he.ome.tif"))
    with pytest.raises(RestainError, match=r"he\.ome\.tif: would be written over; name another folder"):
        list_jobs(ome, ome.parent)
    (tmp_path / "link").symlink_to(ome.parent)
    with pytest.raises(RestainError, match="would be written over"):
        list_jobs(ome, tmp_path / "link")
    with pytest.raises(RestainError, match="is the folder of the slides"):  # again, it would stain its own results
        list_jobs(ome.parent, tmp_path / "link")
    assert list_jobs(ome, tmp_path / "elsewhere").jobs


def test_a_folder_may_be_named_by_a_dot(he_slide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(he_slide.parent)
    assert [job.target for job in list_jobs(".", Path("out")).jobs] == [Path("out/he.ome.tif")]
    he_slide.rename("one.dcm")  # a folder of DICOM files is one slide, and takes the folder's name
    assert [job.target for job in list_jobs(".", Path("out")).jobs] == [Path("out/slides.ome.tif")]


def test_a_name_that_no_summary_can_hold_is_told_before_anything_runs(he_slide: Path, tmp_path: Path) -> None:
    try:
        he_slide.rename(he_slide.parent / os.fsdecode(b"caf\xe9.tif"))
    except OSError:
        pytest.skip("this file system has names in UTF-8 alone")
    with pytest.raises(RestainError, match=r"caf.udce9\.tif': is not a name in UTF-8"):
        list_jobs(he_slide.parent, tmp_path / "out")


def test_brackets_in_a_name_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    print_run(SlideRun(Path("out"), (single.failed(Job(Path("[red]x.svs"), Path("o")), "cannot be read"),)))
    told = capsys.readouterr().out
    assert told.count("[red]x.svs") == 2  # in the table, and before the sentence
    assert "1 slide in out" in told


def test_slides_of_one_name_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    jobs = [Job(Path(source), Path("out", below, "s.ome.tif")) for source, below in (("a/s.tif", "x"), ("b/s.tif", ""))]
    print_run(SlideRun(Path("out"), tuple(single.failed(job, "no") for job in jobs)))
    told = capsys.readouterr().out.splitlines()
    for start in ("│ x/s.tif ", "│ s.tif ", "x/s.tif: no", "s.tif: no"):
        assert any(line.startswith(start) for line in told), told


def test_a_fault_of_the_program_is_told_in_full_and_the_other_slides_go_on(
    he_slide: Path,
    stainer_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    write_slide(he_slide.with_name("odd.tif"), np.full((90, 90, 3), 200, np.uint8))
    write_pictures = single.write_pictures

    def faulty(slide: Any, *paths: Path) -> None:
        if slide.path.name == "he.tif":
            raise ZeroDivisionError("division by zero")
        write_pictures(slide, *paths)

    monkeypatch.setattr(single, "write_pictures", faulty)
    run = restain.slide(stainer_folder, he_slide.parent, tmp_path / "out", options=SlideOptions(tile=1024))
    assert {Path(record.slide).name: record.status for record in run.records} == {
        "he.tif": "failed",
        "odd.tif": "stained",
    }
    assert run.failed[0].error == "ZeroDivisionError: division by zero"
    assert "write_pictures" in caplog.text or "faulty" in caplog.text


@pytest.mark.parametrize(
    ("name", "place", "finished"),
    [("replace", "he.json", False), ("unlink", "job.json", True), ("unlink", ".he.lock", True)],
)
def test_a_kill_at_the_very_end_leaves_no_litter(
    stainer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, place: str, finished: bool
) -> None:
    """The folder is copied right behind a call, as a kill would leave it; the next run goes on in the copy."""
    slide = write_slide(tmp_path / "he.tif", np.full((90, 90, 3), 240, np.uint8))
    stainer, options = load_stainer(stainer_folder), SlideOptions(stain_background=True)
    whole, killed = Job(slide, tmp_path / "out" / "he.ome.tif"), Job(slide, tmp_path / "killed" / "he.ome.tif")
    call = getattr(Path, name)

    def copying(*arguments: Any, **named: Any) -> None:
        call(*arguments, **named)
        if arguments[-1].name == place:
            shutil.copytree(whole.target.parent, killed.target.parent)

    with monkeypatch.context() as patched:
        patched.setattr(Path, name, copying)
        assert stain_slide(whole, stainer, options, quiet=True).status == "stained"
    assert killed.target.exists() == finished
    assert stain_slide(killed, stainer, options, quiet=True).status == ("skipped" if finished else "stained")
    assert {path.name for path in killed.target.parent.iterdir()} == OWN
    assert read_record(killed.beside(".json")).status == "stained"
    assert killed.target.read_bytes() == whole.target.read_bytes()


def test_what_lies_below_a_dicom_folder_is_not_of_its_slide(tmp_path: Path) -> None:
    (tmp_path / "1.dcm").write_bytes(b"one")
    before = fingerprint(tmp_path)
    (tmp_path / "virtual").mkdir()
    (tmp_path / "virtual" / "case.ome.tif").write_bytes(b"a result")
    assert fingerprint(tmp_path) == before
    (tmp_path / "2.dcm").write_bytes(b"two")
    assert fingerprint(tmp_path) != before


def test_a_journal_belongs_to_one_version_of_a_file_at_one_resolution(he_slide: Path, stainer_folder: Path) -> None:
    stainer = load_stainer(stainer_folder)

    def identified(**options: Any) -> JournalIdentity:
        chosen = SlideOptions(**options)
        job = Job(he_slide, he_slide.with_suffix(".ome.tif"))
        with open_slide(he_slide, chosen.mpp) as slide:
            plan = plan_slide(slide, needs_of(stainer, None), chosen)
        return describe(job, request_of(job, stainer, chosen), plan, stainer).identity

    first = identified()
    assert identified() == first and identified(quality=50, match_source=True) == first  # no pixel of a tile moves
    assert identified(mpp=0.50001).width == first.width and identified(mpp=0.50001) != first
    status = he_slide.stat()
    os.utime(he_slide, ns=(status.st_atime_ns, status.st_mtime_ns + 1))  # written anew in the same size
    assert identified() != first


def test_a_resolution_that_no_slide_has_is_refused_before_anything_runs() -> None:
    for name, value in (("mpp", 0.0), ("mpp", 1000.0), ("model_mpp", float("nan")), ("model_mpp", 0.04)):
        with pytest.raises(RestainError, match=rf"^{name} is {value:g} µm per pixel; expected 0.05 to 20$"):
            SlideOptions(**{name: value})  # type: ignore[arg-type]


def test_pictures_that_are_no_rgb_are_told_in_one_sentence(tmp_path: Path) -> None:
    Image.new("L", (40, 30)).save(tmp_path / "grey.png")
    with open_slide(tmp_path / "grey.png", mpp=0.5) as slide, pytest.raises(RestainError) as told:
        slide.read_level(0, Region(0, 0, 8, 8))
    assert str(told.value) == f"{tmp_path / 'grey.png'}: has shape (30, 40); expected an RGB image (height, width, 3)"


def test_a_damaged_profile_costs_the_profile_alone(he_image: RGB, tmp_path: Path) -> None:
    scale = {"resolution": (2e4, 2e4), "resolutionunit": "CENTIMETER"}
    description = "Aperio Image Library v12\n1000x700 (256x256) JPEG/RGB Q=90|AppMag = 20|MPP = 0.5"
    tifffile.imwrite(
        tmp_path / "he.svs", he_image, tile=(256, 256), photometric="rgb", compression="jpeg", metadata=None,
        description=description, iccprofile=b"no profile" * 20, **scale,
    )  # fmt: skip
    with open_slide(tmp_path / "he.svs") as slide:
        assert slide.reader == "openslide" and slide.icc is None
        assert (slide.levels[0].height, slide.levels[0].width) == he_image.shape[:2]


def test_what_a_finished_slide_left_behind_is_discarded_and_another_journal_is_not(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", identity("a"))
    discard(journal.folder, identity("b"))
    assert journal.folder.exists()
    discard(journal.folder, identity("a"))
    assert not journal.folder.exists()
    interrupted = Journal(tmp_path / "j", identity("a"))
    (interrupted.folder / "job.json").unlink()  # the first thing that a removal does
    discard(interrupted.folder, identity("b"))
    assert not interrupted.folder.exists()
    discard(interrupted.folder, identity("b"))  # nor does it mind that there is none
