"""`evaluate` module: conflict subsets, label sets, audio-minus-video gap."""

from cuewise.eval import hub

CaMer = hub.module_class("ca_mer")
