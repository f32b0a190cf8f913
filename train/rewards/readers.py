"""Models that rewards read with: a recipe names them below `readers`, by what the reward needs.

    readers: {follow_up: nano, critic: runs/nano-critic}

`follow_up` is any shipped model or model folder, whose language model says how likely a next turn is; `critic` is the
folder of a run of `kind: critic` (`cuewise.train.critic`).
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from cuewise.train.rewards.base import RewardConfig, RewardError, reward

Load = Callable[[str, torch.device | str], Any]


def check_readers(config: RewardConfig, readers: Mapping[str, str]) -> None:
    """Raise RewardError for a reader that nothing needs, and for a reward whose reader is not named."""
    needed = {need: name for name in config.rewards for need in reward(name).needs}
    for need, name in needed.items():
        if need not in readers:
            raise RewardError(f"reward `{name}` reads with a model; name it: readers.{need}=MODEL")
    for need in readers:
        if need not in needed:
            raise RewardError(f"no reward of this recipe needs the reader `{need}`; "
                              f"it needs {', '.join(needed) or 'none'}")  # fmt: skip


def load_readers(readers: Mapping[str, str], device: torch.device | str = "cpu") -> dict[str, Any]:
    """Reader -> what `score` takes as the resource of that name."""
    return {need: LOADERS[need](folder, device) for need, folder in readers.items()}


def _follow_up(name: str, device: torch.device | str) -> Any:
    from cuewise.train.base_model import load
    from cuewise.train.critique import FollowUpScorer

    model, processor = load(name)
    return FollowUpScorer(model.language_model.to(device).eval(), processor.text_ids)


def _critic(folder: str, device: torch.device | str) -> Any:
    from cuewise.train.critique import load_critic

    return load_critic(folder, device)


LOADERS: dict[str, Load] = {"follow_up": _follow_up, "critic": _critic}
