"""Protocols: every setting under which a score may stand in one table with another paper's.

Nothing else in the package maps the name of a protocol to a setting. A metric asks the protocol for its own section;
where the section is None, the protocol does not define that metric and it is not computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from restain.errors import RestainError


@dataclass(frozen=True, kw_only=True)
class SsimSettings:
    """SSIM: its local window, its covariance and its data range."""

    window: Literal["uniform", "gaussian"]
    size: int  # pixels on a side, odd
    sigma: float = 1.5  # pixels, of the Gaussian window; Wang 2004
    sample_covariance: bool  # divide by N - 1 instead of N
    data_range: float = 255.0  # L in grey levels of 8 bits
    k1: float = 0.01
    k2: float = 0.03


@dataclass(frozen=True, kw_only=True)
class MultiscaleSettings:
    """MS-SSIM: the exponent of each scale, finest first."""

    exponents: tuple[float, ...] = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang 2003, from a test with observers
    coarsest_border: Literal["inside", "mirrored"] = "inside"  # torchmetrics mirrors the image at the coarsest scale


@dataclass(frozen=True, kw_only=True)
class FeatureSettings:
    """Feature vectors of images: whose network, and how an image is prepared for it."""

    network: str  # name of a weight file, see ``restain weights list``
    preparation: Literal[
        "bilinear-299",
        "antialiased-299",
        "clean-fid-299",
        "tensorflow-299",
        "imagenet-full-size",
        "imagenet-twice-full-size",
    ]  # the resize and the normalisation, see ``restain.metrics.learned.preparation``


@dataclass(frozen=True, kw_only=True)
class FidSettings:
    """Fréchet distance of two sets of feature vectors."""

    features: FeatureSettings


@dataclass(frozen=True, kw_only=True)
class KidSettings:
    """Kernel distance of two sets of feature vectors, kernel (x·y / d + 1)³."""

    features: FeatureSettings
    estimator: Literal["all-paired", "subsets"]  # one estimate without products of one field, or a mean of subsets
    subsets: int = 0  # how many; 0 where there are none
    subset_size: int = 0  # images on each side; fewer where a set is smaller


@dataclass(frozen=True, kw_only=True)
class PhvSettings:
    """Perceptual hash value: the share of channels whose mean response differs by more than a threshold."""

    features: FeatureSettings
    threshold: float = 0.01  # in units of the response


@dataclass(frozen=True, kw_only=True)
class LpipsSettings:
    """LPIPS at full size: the version of its heads, and the networks that are reported."""

    version: str = "0.1"
    networks: tuple[str, ...] = ("alexnet-imagenet", "vgg16-imagenet")


TOLERANT_LPIPS = LpipsSettings(version="ST 0.0", networks=("st-lpips-alex", "st-lpips-vgg"))


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What two evaluations must share before their scores are compared; None: the protocol has no such metric."""

    name: str
    definition: str
    source: str
    ssim: SsimSettings
    psnr_data_range: float = 255.0  # in grey levels of 8 bits
    ms_ssim: MultiscaleSettings | None = MultiscaleSettings()
    fid: FidSettings | None
    kid: KidSettings | None
    phv: PhvSettings | None
    lpips: LpipsSettings | None = LpipsSettings()
    st_lpips: LpipsSettings | None = None
    fid_tf: FidSettings | None = None  # pytorch-fid's resize beside another FID
    kid_paired: KidSettings | None = None  # our own estimator, which leaves out the products of one field
    crop: int | None = None  # pixels: a random square of each field is evaluated in place of the whole

    def section(self, metric: str) -> object | None:
        """The settings on which a metric depends; None where the protocol does not define it."""
        sections: dict[str, object | None] = {
            "ssim": self.ssim,
            "psnr": self.psnr_data_range,
            "ms_ssim": self.ms_ssim,
            "fid": self.fid,
            "kid": self.kid,
            "phv_avg": self.phv,
            "lpips_alex": self.lpips,
            "lpips_vgg": self.lpips,
            "st_lpips_alex": self.st_lpips,
            "st_lpips_vgg": self.st_lpips,
        }
        return sections.get(metric)


GAUSSIAN_11 = SsimSettings(window="gaussian", size=11, sample_covariance=False)
UNIFORM_7 = SsimSettings(window="uniform", size=7, sample_covariance=True)

_PYTORCH_FID = FidSettings(features=FeatureSettings(network="inception-fid", preparation="bilinear-299"))
_CLEAN_FID = FeatureSettings(network="inception-fid", preparation="clean-fid-299")
_TORCHMETRICS = FeatureSettings(network="inception-fid", preparation="tensorflow-299")
_ASP_KID = KidSettings(
    features=FeatureSettings(network="inception-imagenet", preparation="bilinear-299"),
    estimator="subsets",
    subsets=100,
    subset_size=100,
)
_ASP_PHV = PhvSettings(
    features=FeatureSettings(network="resnet50-imagenet", preparation="imagenet-twice-full-size"),  # as its script does
)

_ALL = (
    Protocol(
        name="clean",
        definition="8-bit RGB at full size; SSIM with the 11x11 Gaussian window (sigma 1.5), population covariance",
        source="Wang et al., IEEE Trans. Image Process. 13 (2004); FID and KID: Parmar et al., CVPR 2022, clean-fid",
        ssim=GAUSSIAN_11,
        fid=FidSettings(features=_CLEAN_FID),
        kid=KidSettings(features=_CLEAN_FID, estimator="subsets", subsets=100, subset_size=1000),
        phv=PhvSettings(
            features=FeatureSettings(network="resnet50-imagenet", preparation="imagenet-full-size"),
        ),
        st_lpips=TOLERANT_LPIPS,
        fid_tf=_PYTORCH_FID,
        kid_paired=KidSettings(
            features=FeatureSettings(network="inception-fid", preparation="antialiased-299"), estimator="all-paired"
        ),
    ),
    Protocol(
        name="asp2023",
        definition="8-bit RGB at full size; SSIM with the 7x7 uniform window, sample covariance",
        source="Li et al., Adaptive Supervised PatchNCE, MICCAI 2023, public evaluation script",
        ssim=UNIFORM_7,
        fid=_PYTORCH_FID,
        kid=_ASP_KID,
        phv=_ASP_PHV,
    ),
    Protocol(
        name="bci2022",
        definition="8-bit BGR at full size; SSIM with the 7x7 uniform window, sample covariance; equals asp2023",
        source="Liu et al., BCI, CVPR Workshops 2022, public evaluation script",
        ssim=UNIFORM_7,
        fid=None,
        kid=None,
        phv=None,
        lpips=None,
    ),
    Protocol(
        name="unistainnet2026",
        definition="8-bit RGB, a random square of 512 pixels of each field (seeded, theirs is not); torchmetrics: "
        "SSIM with the 11x11 Gaussian window, FID, KID of 100 subsets of 100, LPIPS through AlexNet",
        source="UNIStainNet (arXiv 2603.12716), public evaluation code",
        ssim=GAUSSIAN_11,
        ms_ssim=None,
        fid=FidSettings(features=_TORCHMETRICS),
        kid=KidSettings(features=_TORCHMETRICS, estimator="subsets", subsets=100, subset_size=100),
        phv=None,
        lpips=LpipsSettings(networks=("alexnet-imagenet",)),
        crop=512,
    ),
    Protocol(
        name="cssp2p",
        definition="8-bit RGB at full size; torchmetrics: SSIM with the 11x11 Gaussian window, MS-SSIM with a mirrored "
        "border, FID, KID of 20 subsets of 100, LPIPS through VGG16",
        source="CSSP2P, public benchmark script",
        ssim=GAUSSIAN_11,
        ms_ssim=MultiscaleSettings(coarsest_border="mirrored"),
        fid=FidSettings(features=_TORCHMETRICS),
        kid=KidSettings(features=_TORCHMETRICS, estimator="subsets", subsets=20, subset_size=100),
        phv=None,
        lpips=LpipsSettings(networks=("vgg16-imagenet",)),
    ),
    # Floats in [0, 1] under a data range of 2 are 8-bit levels under one of 510: SSIM does not know its unit.
    Protocol(
        name="skimage018",
        definition="RGB floats in [0, 1] at full size; SSIM with the 7x7 uniform window, sample covariance and a "
        "data range of 2, twice what the images span: inflated; PSNR with a range of 1: right",
        source="scikit-image 0.18, structural_similarity on floats without data_range",
        ssim=SsimSettings(window="uniform", size=7, sample_covariance=True, data_range=510.0),
        fid=None,
        kid=None,
        phv=None,
        lpips=None,
    ),
)

PROTOCOLS: Mapping[str, Protocol] = MappingProxyType({protocol.name: protocol for protocol in _ALL})


def find_protocol(name: str) -> Protocol:
    """The protocol of that name; RestainError names the known ones."""
    try:
        return PROTOCOLS[name]
    except KeyError:
        known = ", ".join(PROTOCOLS)
        raise RestainError(f"protocol: {name!r} is not known; expected one of {known}") from None
