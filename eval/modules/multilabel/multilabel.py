"""`evaluate` module: several labels per sample: F1, Jaccard, exact match."""

from cuewise.eval import hub

Multilabel = hub.module_class("multilabel")
