"""Media: one clip in, decoded frames, face crops and sound out. See docs/media.md.

Names are loaded when they are first used, so that importing this package costs nothing.
"""

from importlib import import_module
from typing import Any

_PUBLIC = {
    "FaceTrack": "types",
    "Media": "types",
    "MediaConfig": "config",
    "MediaError": "errors",
    "MediaNotFound": "errors",
    "MediaTimeout": "errors",
    "MediaTooLarge": "errors",
    "MediaUnreadable": "errors",
    "MediaWorker": "worker",
    "load_media": "load",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; public names: {', '.join(__all__)}")
    return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)
