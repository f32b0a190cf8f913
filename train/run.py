"""`cuewise train RECIPE`: the kind of a recipe decides what runs it."""

from importlib import import_module
from pathlib import Path
from typing import Any

from cuewise.mllm.config_tools import from_dict, override
from cuewise.train.memory import keep_freed_memory
from cuewise.train.sft import main as tune
from cuewise.train.sft import recipe_values

KINDS = {
    "grpo": ("cuewise.train.grpo", "GRPOConfig"), "dpo": ("cuewise.train.dpo", "DPOConfig"),
    "critic": ("cuewise.train.critic", "CriticConfig"), "talk": ("cuewise.train.talk", "TalkConfig"),
}  # fmt: skip
"""Kind -> module with `train(config)`, and its config. A recipe without `kind` is supervised tuning."""


def main(recipe: str, overrides: list[str] | None = None) -> Path:
    """Run a recipe (a path, or the name of a shipped one); returns the folder of the finished model."""
    values: dict[str, Any] = override(recipe_values(recipe), overrides or [])
    keep_freed_memory()
    kind = values.get("kind", "sft")
    if kind == "sft":
        return tune(recipe, overrides)
    if kind not in KINDS:
        raise ValueError(f"unknown kind of recipe `{kind}`; known: sft, {', '.join(KINDS)}")
    name, config = KINDS[kind]
    module = import_module(name)
    return module.train(from_dict(getattr(module, config), values))
