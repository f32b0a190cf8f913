"""Ways of asking that go around any system, as options of `load_system`: hints of small readers, several attempts.

    load_system("openai:MODEL@http://host/v1", hints="nano", tries=3, tone="varied")
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
    if ways.get("staged"):
        system = staged(system, ways["staged"])
    if "tries" in ways:
        system = retrying(system, ways)
    elif alone := [name for name in ("tone", "token_budget") if name in ways]:
        raise SystemLoadError(f"option {alone[0]} says how to try again, so it needs tries, e.g. tries=3")
    return system


def staged(system: System, options: Any) -> System:
    """With long texts searched and answered in stages; `true`, or a mapping of `StagedConfig`."""
    from cuewise.mllm.config_tools import from_dict
    from cuewise.mllm.systems.staged import StagedConfig, StagedSystem

    try:
        return StagedSystem(system, from_dict(StagedConfig, {} if options is True else options, "staged."))
    except ValueError as error:
        raise SystemLoadError(f"option {error}") from error


def retrying(system: System, ways: dict[str, Any]) -> System:
    """With several attempts at answers that are malformed or contradicted."""
    from cuewise.mllm.systems.retrying import RetryingSystem

    try:
        budget = ways.get("token_budget")
        return RetryingSystem(system, int(ways["tries"]), str(ways.get("tone", "plain")),
                              None if budget is None else int(budget))  # fmt: skip
    except ValueError as error:
        raise SystemLoadError(str(error)) from error


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
