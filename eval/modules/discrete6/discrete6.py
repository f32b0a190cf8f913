"""`evaluate` module: six-class WAF and accuracy (MER track 1)."""

from cuewise.eval import hub

Discrete6 = hub.module_class("discrete6")
