"""`evaluate` module: right answer, right reason: the four cells."""

from cuewise.eval import hub

DoublyRight = hub.module_class("doubly_right")
