"""`evaluate` module: right or wrong against confidence: ECE, Brier, AUC."""

from cuewise.eval import hub

Calibration = hub.module_class("calibration")
