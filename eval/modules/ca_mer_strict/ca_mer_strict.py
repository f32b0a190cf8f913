"""`evaluate` module: conflict subsets, one label of nine."""

from cuewise.eval import hub

CaMerStrict = hub.module_class("ca_mer_strict")
