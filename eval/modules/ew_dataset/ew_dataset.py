"""`evaluate` module: emotion-wheel set scores (OV-MER, OV-MERD+, MER2025)."""

from cuewise.eval import hub

EwDataset = hub.module_class("ew_dataset")
