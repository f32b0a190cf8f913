"""Rewards of reinforcement learning: one function each, configured in YAML, audited by `cuewise train audit`."""

from .base import (
    DEFAULT,
    REWARDS,
    Reward,
    RewardConfig,
    RewardError,
    RewardSample,
    RewardTable,
    load_config,
    reward,
    rewards,
    score,
)

__all__ = ["DEFAULT", "REWARDS", "Reward", "RewardConfig", "RewardError", "RewardSample", "RewardTable", "load_config",
           "reward", "rewards", "score"]  # fmt: skip
