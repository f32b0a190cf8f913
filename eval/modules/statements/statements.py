"""`evaluate` module: Correct / Incorrect judgments (MVEI)."""

from cuewise.eval import hub

Statements = hub.module_class("statements")
