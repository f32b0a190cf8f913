"""`evaluate` module: binary sentiment WAF and accuracy (MOSI, MOSEI, SIMS)."""

from cuewise.eval import hub

Sentiment = hub.module_class("sentiment")
