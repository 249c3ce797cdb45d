"""The model card of a stainer folder, ``README.md``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date

from restain.stainer_config import StainerConfig


def model_card(
    config: StainerConfig, parameters: int, *, head: Mapping[str, object] | None = None, evaluated: str = ""
) -> str:
    """Markdown with a YAML head, as the Hugging Face Hub reads it.

    Args:
        config: of the stainer.
        parameters: of the generator, how many.
        head: further fields of the YAML head.
        evaluated: a section about its scores, Markdown.
    """
    stain = _safe(config.stain or "IHC (marker not recorded)")
    rows = {
        "recipe": config.recipe,
        "network": f"{_network(config)}, {parameters:,} parameters",
        "resolution": f"{config.mpp} µm/px" if config.mpp else "not recorded",
        "training crops": f"{config.tile_size} px",
        "weights SHA-256": f"`{config.weights_sha256}`",
        "statistics": _statistics(config),
        "written": f"{date.today().isoformat()} with restain {config.restain}",
        **{key.replace("_", " "): value for key, value in config.trained.items()},
    }
    facts = "\n".join(f"| {_safe(str(name))} | {_safe(str(value))} |" for name, value in rows.items())
    more = "".join(f"{key}: {json.dumps(value)}\n" for key, value in (head or {}).items())  # YAML holds all of JSON
    section = f"\n{evaluated}\n" if evaluated else ""
    return f"""---
library_name: restain
pipeline_tag: image-to-image
tags: [virtual-staining, digital-pathology, histopathology]
{more}---
# Virtual {stain} from H&E

A generator that turns an H&E image into a virtual {stain} image. Its output is **a virtual stain, not a real
immunohistochemistry**; it is a research tool and **not for clinical use**.

| | |
|---|---|
{facts}

## Use

```
restain stain --stainer . --input HE_IMAGES --out VIRTUAL_IHC
```

```python
import restain
stainer = restain.load_stainer(".")
network = stainer.network()  # with the stainer's own normalisation statistics, where it has them
ihc = network(he)  # float tensors (N, 3, H, W) in [-1, 1]
```
{section}
## Limits

It knows the tissue, scanner, laboratory and resolution of its training images only. Nothing guarantees that a
positive cell here is positive in the tissue. Evaluate it on your own pairs with `restain evaluate` before you rely on
it.
"""


def _network(config: StainerConfig) -> str:
    spec = config.generator.model_dump(exclude={"kind", "init", "spectral_norm"})
    return f"{config.generator.kind} ({', '.join(f'{key} {value}' for key, value in spec.items())})"


def _statistics(config: StainerConfig) -> str:
    made = config.calibration
    if made is None and getattr(config.generator, "norm", None) == "batch":
        return "part of the weights (averages of the training)"
    if made is None:
        return "none: each image is normalised by itself (`restain calibrate` measures some)"
    source = f"{made.crops} crops of {made.side} px of {made.data or 'H&E'}, {made.date}"
    if made.statistics_sha256 is None:
        return f"part of the weights ({source}, with which other tissue is compared)"
    return f"{source}; SHA-256 `{made.statistics_sha256}`"


def _safe(text: str) -> str:
    """Text that Markdown and HTML show as it is."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
