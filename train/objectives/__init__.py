"""Objectives of a stage beside `heads` and `answers`. Importing this package registers all of them."""

from cuewise.train.objectives import affect_words, contrastive, dialogue, distil, heatmap, masked
from cuewise.train.objectives.base import OBJECTIVES, Objective, ObjectiveBatch, attached

__all__ = [
    "OBJECTIVES", "Objective", "ObjectiveBatch", "affect_words", "attached", "contrastive", "dialogue", "distil",
    "heatmap", "masked",
]  # fmt: skip
