"""Where the media of a corpus lie, whatever folders a release was unpacked into."""

from collections.abc import Sequence
from pathlib import Path


def media_index(root: Path, suffixes: Sequence[str]) -> dict[str, str]:
    """File name without suffix -> path relative to `root`, of all media below it; the first in order wins."""
    wanted = {suffix.lower() for suffix in suffixes}
    found: dict[str, str] = {}
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() in wanted and path.is_file() and not path.name.startswith("."):
            found.setdefault(path.stem, path.relative_to(root).as_posix())
    return found
