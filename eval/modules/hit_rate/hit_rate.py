"""`evaluate` module: hit rate over five wheels (MER2023, MER2024, MELD, IEMOCAP)."""

from cuewise.eval import hub

HitRate = hub.module_class("hit_rate")
