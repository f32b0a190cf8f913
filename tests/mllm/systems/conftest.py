"""Folders of miniature models, made once."""

from pathlib import Path

import pytest
import tiny_families


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory):
    """Model type -> a folder as a hub would have it."""
    made: dict[str, Path] = {}

    def get(model_type: str) -> Path:
        if model_type not in made:
            made[model_type] = tmp_path_factory.mktemp(model_type)
            tiny_families.save(model_type, made[model_type])
        return made[model_type]

    return get
