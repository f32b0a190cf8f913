"""Emotion words: wheels, spellings, sentiment, valence and arousal, closed label lists. Pure data and lookups."""

from .affect import (
    circumplex_angle,
    circumplex_similarity,
    listed,
    nearest_common,
    same_core,
    sentiment,
    valence_arousal,
)
from .categories import LABELS, flagged, flagged_labels, policy_flag, voice_categories, voice_category
from .wheels import (
    LEVEL1_IDS,
    LEVEL2_IDS,
    METRIC_IDS,
    PROFILES,
    WHEELS,
    LabelMasks,
    Profile,
    WheelTable,
    level1,
    level2,
    normalise,
    wheel_table,
)

__all__ = [
    "LABELS", "LEVEL1_IDS", "LEVEL2_IDS", "METRIC_IDS", "PROFILES", "WHEELS", "LabelMasks", "Profile", "WheelTable",
    "circumplex_angle", "circumplex_similarity", "flagged", "flagged_labels", "level1", "level2", "listed",
    "nearest_common", "normalise", "policy_flag", "same_core", "sentiment", "valence_arousal", "voice_categories",
    "voice_category", "wheel_table",
]  # fmt: skip
