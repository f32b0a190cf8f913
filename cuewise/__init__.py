"""cuewise reads human emotion from short clips and shows the evidence.

>>> import cuewise
>>> report = cuewise.analyze("clip.mp4")            # doctest: +SKIP
>>> report.emotions[0].label                        # doctest: +SKIP
'happy'

Everything public is named here; importing this module does no work, each name is loaded when it is first used.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "analyze": "cuewise.api",
    "load": "cuewise.api",
    "Clip": "cuewise.mllm.clip",
    "EmotionReport": "cuewise.mllm.report",
}

__all__ = ["Clip", "EmotionReport", "__version__", "analyze", "load"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'cuewise' has no attribute {name!r}; public names: {', '.join(__all__)}")
    value = getattr(import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
