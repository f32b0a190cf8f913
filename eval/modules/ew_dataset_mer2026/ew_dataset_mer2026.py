"""`evaluate` module: the same in profile mer2026 (MER2026 track 2)."""

from cuewise.eval import hub

EwDatasetMer2026 = hub.module_class("ew_dataset_mer2026")
