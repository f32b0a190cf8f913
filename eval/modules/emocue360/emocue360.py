"""`evaluate` module: EmoCue-360 over the offline embedder."""

from cuewise.eval import hub

Emocue360 = hub.module_class("emocue360")
