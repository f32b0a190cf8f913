"""`evaluate` module: KL, JS, all-inclusive F1, n-best."""

from cuewise.eval import hub

Distribution = hub.module_class("distribution")
