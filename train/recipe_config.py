"""What recipes that go on from a model (GRPO, DPO, talk, critic) have in common."""

from dataclasses import dataclass, field
from typing import Literal

from cuewise.mllm.media import MediaConfig
from cuewise.train.parallel import HardwareConfig


@dataclass(kw_only=True, slots=True)
class RecipeConfig:
    name: str
    """Name of the model that comes out."""

    init: str
    """Shipped model or model folder to start from."""

    out: str = "runs"
    """Folder for checkpoints, logs and the finished model (`out`/`name`)."""

    stored: Literal["float32", "float16"] = "float32"
    """How the finished weights lie on disk: float16 halves the file; they are computed with in float32 all the same."""

    data_root: str = "data"
    cache: str = "runs/cache"
    seed: int = 0
    workers: int = 2
    hardware: HardwareConfig = field(default_factory=HardwareConfig)
    media: MediaConfig = field(default_factory=MediaConfig)
