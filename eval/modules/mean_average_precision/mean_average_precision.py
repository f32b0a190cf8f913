"""`evaluate` module: mAP from label scores."""

from cuewise.eval import hub

MeanAveragePrecision = hub.module_class("mean_average_precision")
