"""Ways of asking that go around any system: hints of small readers first, and others, as options of `load_system`.

    load_system("openai:MODEL@http://host/v1", hints="nano")
    cuewise eval ravdess --data DATA --system nano --option hints=own
"""

from typing import Any

from cuewise.mllm.systems.base import System, SystemLoadError
from cuewise.mllm.systems.cuewise import CuewiseSystem

OWN = "own"


def wrapped(system: System, ways: dict[str, Any]) -> System:
    """The system asked in these ways. Raises SystemLoadError."""
    if ways.get("hints"):
        system = hinted(system, str(ways["hints"]))
    return system


def hinted(system: System, reader: str) -> System:
    """With the hints of a small model, or of the system's own heads."""
    if reader == OWN:
        if not isinstance(system, CuewiseSystem):
            raise SystemLoadError(f"option hints={OWN}: {system.name} has no heads of its own; name a model of ours, "
                                  "e.g. hints=nano")  # fmt: skip
        system.own_hints = True
        return system
    from cuewise.mllm.pipeline import AnalyzeError, Analyzer
    from cuewise.mllm.systems.hinted import HintedSystem

    try:
        return HintedSystem(system, Analyzer.load(reader))
    except AnalyzeError as error:
        raise SystemLoadError(f"option hints: {error}") from error
