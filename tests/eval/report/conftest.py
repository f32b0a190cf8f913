"""One made run for the tests of this room, and its helpers by name."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def run():
    """(results, records) of a made run of 120 + 30 samples; tests must not change them."""
    from made_run import make_run

    return make_run(seed=3, n=120)
