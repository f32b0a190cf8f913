"""Where the optional development data lies; tests that need it are skipped, with a reason, when it is absent."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


def shared_dir(*parts: str) -> Path:
    """Path below the development data; skips the calling test when it is not there."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"development data {'/'.join(parts)} is not beside this checkout")
    return path
