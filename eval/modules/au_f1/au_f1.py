"""`evaluate` module: facial action units: macro and micro F1."""

from cuewise.eval import hub

AuF1 = hub.module_class("au_f1")
