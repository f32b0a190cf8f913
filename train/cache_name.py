"""The name of a cache of examples: it covers everything the prepared tensors depend on."""

import hashlib
import json
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from cuewise.data_recipes.schema import Row
from cuewise.mllm.media import MediaConfig
from cuewise.mllm.processing import CuewiseProcessor

if TYPE_CHECKING:
    from cuewise.train.examples import SourceConfig

ADDED = ("options", "layers")
"""Fields that rows have had since caches were named; where they are empty the name is the old one."""

ROW_OPTIONS = ("tier", "soften", "demonstrations")
"""Options of a source that change nothing but its rows, which the cache's name covers anyway."""


def fingerprint(
    config: "SourceConfig", processor: CuewiseProcessor, media: MediaConfig, rows: list, root: Path = Path()
) -> str:
    """Changes with code, options, rows, and the media files below `root` (their size and time of change)."""
    inputs = ("input_kind", "family", "image_size", "colour")
    content = {
        "code": code_version(config),
        "source": {name: value for name, value in asdict(config).items() if name not in ROW_OPTIONS},
        "media": asdict(media), "features": processor.features,
        "inputs": {name: [getattr(stream.encoder_config, key, None) for key in inputs]
                   for name, stream in processor.plan.streams.items()},
    }  # fmt: skip
    total = hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode())
    state = lru_cache(maxsize=None)(_state)
    for item, speed in rows:
        files = []
        if isinstance(item, Row):
            files = [state(root / path) for _, path in sorted(item.media.items())]
            item = item.model_dump_json(exclude={name for name in ADDED if not getattr(item, name)})
        total.update(" ".join([f"{item}", f"{speed}", *files]).encode() + b"\n")
    return total.hexdigest()[:16]


def code_version(config: "SourceConfig") -> str:
    """Hash of the code and tables that make clips, measure them and choose their cues."""
    import cuewise.data_recipes
    import cuewise.mllm.evidence

    recipes, evidence = (Path(package.__file__).parent for package in (cuewise.data_recipes, cuewise.mllm.evidence))
    files = [recipes / "targets.py", evidence.parent / "encoders" / "features.py", *evidence.iterdir()]
    files += [*(recipes / "synthetic").iterdir()] if config.kind == "synthetic" else []
    files += [recipes / "action_words.py"] if config.actions else []
    total = hashlib.sha256()
    for file in sorted(file for file in files if file.is_file()):
        total.update(file.name.encode() + file.read_bytes())
    return total.hexdigest()


def _state(path: Path) -> str:
    """What shows that a file was replaced."""
    try:
        found = path.stat()
    except OSError:
        return "missing"
    return f"{found.st_size}-{found.st_mtime_ns}"
