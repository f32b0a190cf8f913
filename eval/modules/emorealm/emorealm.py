"""`evaluate` module: letters and yes/no per task, with yes-bias."""

from cuewise.eval import hub

Emorealm = hub.module_class("emorealm")
