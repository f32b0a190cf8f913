"""`evaluate` module: task names and judge replies: Rec, Rea, CoT."""

from cuewise.eval import hub

MmeEmotion = hub.module_class("mme_emotion")
