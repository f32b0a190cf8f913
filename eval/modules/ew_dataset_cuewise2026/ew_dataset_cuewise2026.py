"""`evaluate` module: the same in our repaired profile."""

from cuewise.eval import hub

EwDatasetCuewise2026 = hub.module_class("ew_dataset_cuewise2026")
