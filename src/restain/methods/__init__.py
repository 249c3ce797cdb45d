"""The registry of methods: a recipe's ``method`` names one of these. No torch until one is built.

A new method is a file with its settings, a file with its networks and losses, and a line here.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from restain.methods.conditional_config import ConditionalConfig
from restain.methods.contrastive_config import ContrastiveConfig
from restain.methods.cycle_config import CycleConfig
from restain.methods.decoupled_config import DecoupledConfig
from restain.methods.diffusive_config import DiffusiveConfig
from restain.methods.guided_config import GuidedConfig
from restain.methods.latent_config import LatentSpaceConfig
from restain.methods.registered_config import RegisteredConfig
from restain.methods.semantic_config import SemanticConfig

MethodConfig: TypeAlias = Annotated[
    ConditionalConfig
    | ContrastiveConfig
    | CycleConfig
    | DecoupledConfig
    | DiffusiveConfig
    | GuidedConfig
    | LatentSpaceConfig
    | RegisteredConfig
    | SemanticConfig,
    Field(discriminator="name"),
]
