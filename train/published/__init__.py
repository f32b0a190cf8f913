"""Recipes of published systems: shapes and schedules from their papers and code, weights from a hub where there is one.

They are read like any recipe (`cuewise plan NAME`, `cuewise train NAME --dry-run`); each file says what differs from
the original and why.
"""

from pathlib import Path

FOLDER = Path(__file__).parent


def published_recipes() -> dict[str, str]:
    """Name -> what its first comment says."""
    files = sorted(FOLDER.glob("*.yaml"))
    return {path.stem: path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ") for path in files}
