"""`evaluate` module: ROUGE-1, 2, L of reasoning, unstemmed."""

from cuewise.eval import hub

Rouge = hub.module_class("rouge")
