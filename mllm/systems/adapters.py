"""Which adapter answers for which `model_type` of a folder."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

from cuewise.mllm.systems.base import SystemLoadError

ADAPTERS = {
    "qwen2_vl": "qwen2_5_vl:Qwen25VL",
    "qwen2_5_vl": "qwen2_5_vl:Qwen25VL",
    "qwen3_vl": "qwen3_vl:Qwen3VL",
    "qwen3_vl_moe": "qwen3_vl:Qwen3VL",
    "qwen2_5_omni": "qwen2_5_omni:Qwen25Omni",
    "qwen2_5_omni_thinker": "qwen2_5_omni:Qwen25Omni",
    "qwen3_omni_moe": "qwen3_omni:Qwen3Omni",
    "qwen3_omni_moe_thinker": "qwen3_omni:Qwen3Omni",
    "qwen2_audio": "qwen2_audio:Qwen2Audio",
}
"""`model_type` of config.json -> file and class below this folder. Other image-text models go to `image_text`."""


def adapter_class(folder: str | Path) -> Any:
    """The kind of system for the model in a folder. Raises SystemLoadError that names the supported types."""
    folder = Path(folder)
    kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    target = ADAPTERS.get(kind) or ("image_text:ImageText" if _is_image_text(kind) else None)
    if target is None:
        raise SystemLoadError(
            f"model {str(folder)!r} is of type {kind!r}, which no adapter covers; supported are "
            f"{', '.join(ADAPTERS)}, and every model of transformers for images and text"
        )
    file, _, name = target.partition(":")
    return getattr(import_module(f"cuewise.mllm.systems.{file}"), name)


def _is_image_text(kind: str | None) -> bool:
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    return kind in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
