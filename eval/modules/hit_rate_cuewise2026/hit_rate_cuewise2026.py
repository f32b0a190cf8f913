"""`evaluate` module: hit rate in our repaired profile."""

from cuewise.eval import hub

HitRateCuewise2026 = hub.module_class("hit_rate_cuewise2026")
