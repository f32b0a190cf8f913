"""`evaluate` module: CCC, Pearson, MAE, RMSE."""

from cuewise.eval import hub

Regression = hub.module_class("regression")
