"""`evaluate` module: scores in [-3, 3]: MAE, correlation, 7-class and 2-class accuracy (MOSI, MOSEI)."""

from cuewise.eval import hub

SentimentRegression = hub.module_class("sentiment_regression")
