"""`evaluate` module: set F1 of emotion words by root (EMER without a judge)."""

from cuewise.eval import hub

LabelOverlap = hub.module_class("label_overlap")
