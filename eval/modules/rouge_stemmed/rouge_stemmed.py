"""`evaluate` module: ROUGE-1, 2, L with Porter stems, as published."""

from cuewise.eval import hub

RougeStemmed = hub.module_class("rouge_stemmed")
