"""A toy GRPO recipe, its clips, and the groups of its first step."""

import torch
from grpo_samples import clips
from tiny import tiny_model, tiny_processor

from cuewise.data_recipes.schema import Row
from cuewise.train.data import Mixture, MixtureConfig
from cuewise.train.examples import Example, SourceConfig
from cuewise.train.grpo import choose_parts, rollout_engine
from cuewise.train.grpo_config import GRPOConfig, PolicyConfig, RolloutConfig
from cuewise.train.grpo_groups import Groups
from cuewise.train.loop import LoopConfig
from cuewise.train.reference import Reference
from cuewise.train.rewards.base import Entry, register
from cuewise.train.rewards.base import rewards as all_rewards


def toy_rewards(monkeypatch):
    """Two rewards of the text alone, known only to one test."""
    monkeypatch.setattr("cuewise.train.rewards.base.REWARDS", dict(all_rewards()))
    register("early_letters")(lambda samples: [share(s.text, "abcdefghijklm") for s in samples])
    register("same_for_all")(lambda samples: [0.5 for _ in samples])


def share(text, letters):
    written = text.removeprefix("<think>")
    return sum(c in letters for c in written) / max(len(written), 1)


def config(reward="early_letters", **changes):
    values = {
        "name": "toy", "init": "none", "sources": {"toy": SourceConfig(kind="rows")}, "trains": ["llm"],
        "rewards": {reward: Entry()},
        "rollout": RolloutConfig(group=6, max_tokens=6), "policy": PolicyConfig(truncated="keep"),
        "loop": LoopConfig(steps=2, batch_size=4, lr=1e-3, warmup_steps=1, log_every=1, save_every=2),
    }  # fmt: skip
    return GRPOConfig(**(values | changes))


def examples():
    return {"toy": [Example(Row(id=f"clip{i}", corpus="toy", transcript="we won" if "words" in clip.streams else None),
                            clip, 1.0, "toy") for i, clip in enumerate(clips())]}  # fmt: skip


def groups(config, model=None):
    model = model or tiny_model()
    processor = tiny_processor()
    choose_parts(model, config.trains, config.adapters, 0)
    mixture = Mixture(examples(), MixtureConfig(weights={"toy": 1.0}), processor)
    reference = Reference(model) if config.policy.kl_weight else None
    return Groups(model, processor, mixture, rollout_engine(model, processor, config), config, reference=reference,
                  parts=config.loop.micro_batches, size=config.loop.micro_size())  # fmt: skip


def batch_of(config, model=None):
    made = groups(config, model)
    return made, made(0, torch.Generator().manual_seed(0))
