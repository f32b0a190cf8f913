"""`evaluate` module: answers that decline, for harmless questions."""

from cuewise.eval import hub

Refusals = hub.module_class("refusals")
