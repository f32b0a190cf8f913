"""Comparison of results with conformance vectors: numbers to 1e-9, everything else exactly, null for NaN."""

import json
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"


def vectors(name: str) -> list[dict[str, Any]]:
    """Cases of a vector file in tests/data."""
    with (DATA / name).open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def assert_same(got: Any, expected: Any, where: str = "result") -> None:
    """`got` equals `expected`: same keys, same lengths, same types; floats within 1e-9."""
    if isinstance(expected, dict):
        assert isinstance(got, dict) and set(got) == set(expected), f"{where}: {got} has other keys than {expected}"
        for key in expected:
            assert_same(got[key], expected[key], f"{where}.{key}")
    elif isinstance(expected, list):
        assert isinstance(got, list) and len(got) == len(expected), f"{where}: {got} has another length than {expected}"
        for index, (one, other) in enumerate(zip(got, expected)):
            assert_same(one, other, f"{where}[{index}]")
    elif isinstance(expected, (int, float)) and not isinstance(expected, bool):
        assert isinstance(got, (int, float)) and not isinstance(got, bool), f"{where}: {got!r} is no number"
        assert abs(got - expected) <= 1e-9, f"{where}: {got!r} is not {expected!r}"
    else:
        assert type(got) is type(expected) and got == expected, f"{where}: {got!r} is not {expected!r}"
