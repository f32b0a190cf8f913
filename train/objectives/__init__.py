"""Objectives of a stage beside `heads` and `answers`. Importing this package registers all of them."""

from cuewise.train.objectives import (
    affect_words,
    conclude,
    contrastive,
    dialogue,
    distil,
    heatmap,
    masked,
    told_actions,
)
from cuewise.train.objectives.base import OBJECTIVES, Objective, ObjectiveBatch, attached

__all__ = [
    "OBJECTIVES", "Objective", "ObjectiveBatch", "affect_words", "attached", "conclude", "contrastive", "dialogue",
    "distil", "heatmap", "masked", "told_actions",
]  # fmt: skip
