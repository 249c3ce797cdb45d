"""Where a network sees farther than half a tile, windows are blended: nothing is added, and no border shows."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from scipy.ndimage import gaussian_filter
from small_slides import MPP, Identity, write_slide
from torch import nn

import restain
from restain.calibration import calibrated
from restain.images import RGB
from restain.networks.specs import UnetSpec
from restain.slides import plan
from restain.slides.options import SlideOptions
from restain.slides.record import SlideRecord, read_record
from restain.slides.run import single
from restain.slides.run.job import Job
from restain.slides.run.single import stain_slide
from restain.slides.seamless.policy import SeamPolicy, choose_policy
from restain.slides.slide_stainer import SlideStainer
from restain.slides.tiling import Footprint, Tile, Tiling
from restain.stainer import Stainer, StainerCard
from restain.stainer_files import load_stainer, save_stainer
from restain.wsi.geometry import Region, Size
from restain.wsi.reader import open_slide

UNET_256 = Footprint(radius=768, stride=256, smallest=129)
SEED = 7
RESNET_6 = Footprint(radius=72, stride=4, smallest=16)


@pytest.fixture(scope="module")
def unet() -> Stainer:
    """It sees 96 pixels far, works on a lattice of 32, and paints smoothly: its kernels are those of bilinear means."""
    generator = UnetSpec(ngf=4, downs=5, norm="instance", dropout=False).build()
    stream, line = torch.Generator().manual_seed(SEED), torch.tensor([1.0, 3.0, 3.0, 1.0])
    for module in generator.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            mixing = torch.randn(module.weight.shape[:2], generator=stream) / module.in_channels**0.5
            gain = 2 if isinstance(module, nn.ConvTranspose2d) else 0.5
            module.weight.data = gain * mixing[:, :, None, None] * torch.outer(line, line) / 16
    return Stainer(generator.eval().requires_grad_(False), StainerCard("ER", MPP, 64, "none", {}), "0" * 64)


@pytest.fixture
def smooth_slide(tmp_path: Path) -> Path:
    """Soft clouds, darker to the right: a step of a few grey levels shows."""
    clouds = gaussian_filter(np.random.default_rng(0).normal(0, 1, (512, 768, 3)), (12, 12, 0))
    right = np.linspace(0, 1, 768)[:, None]
    image = (200, 150, 190) + 25 * clouds / clouds.std() * (0.3 + right) - 60 * right
    return write_slide(tmp_path / "slides" / "smooth.tif", image.clip(0, 255).astype(np.uint8))


def stained(job: Job, stainer: Stainer, **options: Any) -> SlideRecord:
    record = stain_slide(job, stainer, SlideOptions(lossless=True, **options), quiet=True)
    assert record.status == "stained", record.error
    return record


def finest(path: Path) -> RGB:
    return np.asarray(tifffile.imread(path))


@pytest.mark.parametrize(("size", "side", "feather"), [
    (Size(390, 250), 64, 64), (Size(390, 250), 64, 16), (Size(129, 128), 64, 64), (Size(60, 20), 64, 32),
    (Size(259, 130), 128, 2), (Size(200, 200), 64, 0),
], ids=str)  # fmt: skip
def test_shares_sum_to_the_whole_in_every_pixel(size: Size, side: int, feather: int) -> None:
    tiling = Tiling(size, side, feather)
    total, windows = np.zeros(size.shape, dtype=np.int64), np.zeros(size.shape, dtype=int)
    for tile in tiling:
        shares = tiling.shares(tile, tile.region)
        assert shares.min() >= 1  # a window has a share in all that is kept of it
        total[tile.region.within(size.region)] += shares
        windows[tile.region.within(size.region)] += 1
    assert (total == tiling.whole_share).all()
    assert windows.max() == (4 if feather and tiling.rows > 1 else 2 if feather and tiling.columns > 1 else 1)
    assert 255 * tiling.whole_share < 2**32  # what is summed in 32 bits


def test_shares_of_a_part_are_those_of_the_whole_tile() -> None:
    tiling = Tiling(Size(390, 250), 64, 32)
    tile = tiling.tile(1, 2)
    part = Tiling(Size(390, 250), 40).cell(2, 3).intersect(tile.region)
    assert np.array_equal(tiling.shares(tile, part), tiling.shares(tile, tile.region)[part.within(tile.region)])


@pytest.mark.parametrize("feather", [0, 16, 64])
def test_tiles_under_a_region_are_those_that_touch_it(feather: int) -> None:
    tiling = Tiling(Size(390, 250), 64, feather)
    for region in (tiling.cell(1, 1), tiling.cell(3, 6), Tiling(tiling.size, 30).cell(2, 5)):
        touching = [tile for tile in tiling if touches(tile, region)]
        assert list(tiling.under(region)) == touching


def touches(tile: Tile, region: Region) -> bool:
    across = tile.region.x < region.right and region.x < tile.region.right
    return across and tile.region.y < region.bottom and region.y < tile.region.bottom


def test_the_halo_is_exact_up_to_half_a_tile() -> None:
    assert choose_policy("auto", 1024, RESNET_6) == SeamPolicy("exact", 72, 0)
    assert (
        choose_policy("auto", 144, RESNET_6).kind == "exact" and choose_policy("auto", 140, RESNET_6).kind == "feather"
    )
    assert choose_policy("auto", 1536, UNET_256) == SeamPolicy("exact", 768, 0)
    assert choose_policy("exact", 256, UNET_256) == SeamPolicy("exact", 768, 0)
    for side in (256, 512, 1024):
        policy = choose_policy("auto", side, UNET_256)
        assert policy.kind == "feather" and 0 < policy.feather <= side and policy.feather % 2 == 0
        window = side + policy.feather + 2 * policy.halo
        assert window % 256 == 0 and window < side + 2 * 768  # on the lattice, and less than the exact halo costs


class Constant(Identity):
    def stain(self, inputs: list[RGB], tiles: list[Tile]) -> list[RGB]:
        return [np.full_like(pixels, (10, 200, 77)) for pixels in super().stain(inputs, tiles)]


@pytest.mark.parametrize("network", [Identity, Constant])
@pytest.mark.parametrize("mpp", [MPP, 0.7])
def test_a_network_that_changes_nothing_gives_its_input_back(
    he_slide: Path, unet: Stainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: type[Identity], mpp: float
) -> None:
    monkeypatch.setattr(single, "SlideStainer", network)
    found = []
    for seams in ("exact", "feather"):
        job = Job(he_slide, tmp_path / seams / "he.ome.tif")
        record = stained(job, unet, model_mpp=mpp, tile=128, seams=seams, norm="tile", stain_background=True)
        assert record.seams == seams
        found.append(finest(job.target))
    assert np.array_equal(*found)
    if mpp == MPP:
        expected = (
            np.full_like(found[0], (10, 200, 77)) if network is Constant else np.asarray(tifffile.imread(he_slide))
        )
        assert np.array_equal(found[0], expected)


def test_borders_of_a_u_net_show_only_without_feathering(
    smooth_slide: Path, unet: Stainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job(smooth_slide, tmp_path / "out" / "smooth.ome.tif")
    exact = stained(job, unet, tile=128, seams="exact", stain_background=True)
    feathered = stained(job, unet, tile=128, stain_background=True)
    assert (exact.seams, feathered.seams) == ("exact", "feather") and exact.norm == feathered.norm == "slide"
    monkeypatch.setattr(plan, "choose_policy", lambda *_: SeamPolicy("exact", 32, 0))  # the same windows, cut
    cut = stained(job, unet, tile=128, stain_background=True, overwrite=True)
    scores = [record.seam_score or 0 for record in (exact, feathered, cut)]
    assert scores[0] == pytest.approx(1, abs=0.1)  # kinks of the network's own lattice count, too
    assert scores[1] == pytest.approx(1, abs=0.1)
    assert scores[2] > 3, scores


def test_a_saved_u_net_stains_a_slide(smooth_slide: Path, unet: Stainer, tmp_path: Path) -> None:
    """From its folder, calibrated, by the public verb: feathered by default, and the record has it all."""
    crops = (torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(seed)) * 2 - 1 for seed in range(8))
    save_stainer(tmp_path / "stainer", unet.generator, unet.card, calibrated(unet.generator, crops)[1])
    options = SlideOptions(tile=128, stain_background=True)
    (record,) = restain.slide(tmp_path / "stainer", smooth_slide, tmp_path / "out", options=options).records
    assert (record.status, record.norm, record.seams) == ("stained", "stainer", "feather")
    assert record.seam_score == pytest.approx(1, abs=0.2) and record.seam_borders == 38
    full = read_record(tmp_path / "out" / "smooth.json")
    assert full.made_by is not None and (full.made_by.identity.halo, full.made_by.identity.feather) == (16, 32)


def test_exact_on_request_does_not_depend_on_the_tiles(he_slide: Path, unet: Stainer, tmp_path: Path) -> None:
    found = []
    for tile in (64, 128, 512):
        job = Job(he_slide, tmp_path / str(tile) / "he.ome.tif")
        stained(job, unet, tile=tile, seams="exact", precision="32")
        found.append(finest(job.target).astype(int))
    assert found[0].std() > 10
    assert all(np.abs(other - found[0]).max() <= 1 for other in found[1:])


def test_background_beside_tissue_is_the_same_with_feathering(he_slide: Path, unet: Stainer, tmp_path: Path) -> None:
    """A window that is not stained counts as background where its neighbours reach into it."""
    job = Job(he_slide, tmp_path / "out" / "he.ome.tif")
    record = stained(job, unet, tile=64, seams="feather")
    assert record.tiles is not None and record.tiles_in_all is not None and record.tiles < record.tiles_in_all
    with open_slide(he_slide) as slide:
        tissue = plan.find_tissue(slide)
    far = plan.Background(tissue, Size(1000, 700))
    pixels = finest(job.target)
    hidden = [cell for cell in (Tiling(Size(1000, 700), 16).cell(r, c) for r in range(43) for c in range(62))
              if far.hides(cell)]  # fmt: skip
    assert len(hidden) > 200
    assert all((pixels[cell.within(Size(1000, 700).region)] == tissue.background).all() for cell in hidden)


def test_a_run_that_was_stopped_ends_in_the_same_bytes(
    he_slide: Path, stainer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stainer, options = load_stainer(stainer_folder), SlideOptions(tile=64, seams="feather")
    whole, stopped = (Job(he_slide, tmp_path / name / "he.ome.tif") for name in ("whole", "stopped"))
    assert stain_slide(whole, stainer, options, quiet=True).status == "stained"
    stain, calls = SlideStainer.stain, 0

    def stopping(self: SlideStainer, *arguments: Any) -> list[RGB]:
        nonlocal calls
        calls += 1
        if calls % 23 == 0:
            raise KeyboardInterrupt
        return stain(self, *arguments)

    monkeypatch.setattr(SlideStainer, "stain", stopping)
    stops = 0
    while not stopped.target.exists():
        try:
            assert stain_slide(stopped, stainer, options, quiet=True).status == "stained"
        except KeyboardInterrupt:
            stops += 1
    assert stops >= 2
    assert stopped.target.read_bytes() == whole.target.read_bytes()


def test_too_little_memory_for_a_window_is_one_sentence(
    he_slide: Path, unet: Stainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: Any) -> list[RGB]:
        raise torch.OutOfMemoryError("too large")

    monkeypatch.setattr(SlideStainer, "stain", none)
    record = stain_slide(Job(he_slide, tmp_path / "he.ome.tif"), unet, SlideOptions(tile=128, norm="tile"), quiet=True)
    assert record.status == "failed"
    assert record.error.startswith("memory: a window of ") and record.error.endswith("choose a smaller --tile")


def test_tiles_off_the_lattice_are_refused(he_slide: Path, unet: Stainer, tmp_path: Path) -> None:
    record = stain_slide(Job(he_slide, tmp_path / "he.ome.tif"), unet, SlideOptions(tile=100), quiet=True)
    assert record.error == "tile is 100 pixels; expected a multiple of 32, the generator's stride"
