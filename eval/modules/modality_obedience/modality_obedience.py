"""`evaluate` module: retrieved modality against the one asked for, and the query's own."""

from cuewise.eval import hub

ModalityObedience = hub.module_class("modality_obedience")
