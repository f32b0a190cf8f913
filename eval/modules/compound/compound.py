"""`evaluate` module: seven compound expressions (C-EXPR)."""

from cuewise.eval import hub

Compound = hub.module_class("compound")
