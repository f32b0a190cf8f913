"""`evaluate` module: UAR, WAR, weighted and macro F1."""

from cuewise.eval import hub

Classification = hub.module_class("classification")
