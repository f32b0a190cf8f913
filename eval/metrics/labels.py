"""Label lists as models write them: parsing and cleaning exactly as the published MER-UniBench scripts do.

Only metrics that must match published numbers use these; answers in our own format go through
`cuewise.mllm.report.parse`.
"""

import math
from collections.abc import Iterable
from typing import Any

from cuewise.mllm.taxonomy import Profile, normalise, wheel_table

from .base import MetricInputError

_PREFIXES = ("输入", "输出", "翻译", "让我们来翻译一下：", "output", "Output", "input", "Input")


def parse_labels(value: Any) -> list[str]:
    """A label value (list, string or missing) as a list; case and unknown words are kept.

    Lists are returned as they are. Strings lose one bracket at each end and are split at every ``'``, ``"`` and ``,``.

    >>> parse_labels("['happy', 'sad']"), parse_labels(None)
    (['happy', 'sad'], [])
    """
    if isinstance(value, str):
        return [piece for raw in split_pieces(value) if (piece := raw.strip())]
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return []
    if isinstance(value, (list, tuple)):
        for label in value:
            if not isinstance(label, str):
                raise MetricInputError(f"a label must be a string, got {label!r} in {list(value)!r:.80}")
        return list(value)
    raise MetricInputError(f"a label value must be a list, a string or null, got {value!r:.80}")


def split_pieces(text: str) -> list[str]:
    """Pieces of a label string before trimming; empty pieces included."""
    if text[:1] == "[":
        text = text[1:]
    if text[-1:] == "]":
        text = text[:-1]
    return text.replace("'", ",").replace('"', ",").split(",")


def normalised_labels(value: Any) -> list[str]:
    """Parsed labels as the lookups read them: lower-cased and trimmed."""
    return [normalise(label) for label in parse_labels(value)]


def clean_llm_output(text: str) -> str:
    """A language model's extraction answer without its lead-in ("Output: ..."), as the published cleaner does it.

    >>> clean_llm_output(" Output: [sad] ")
    '[sad]'
    """
    if not isinstance(text, str):
        raise MetricInputError(f"`pred` must be the answer as a string, got {text!r:.80}")
    text = text.strip()
    for prefix in _PREFIXES:
        text = text.removeprefix(prefix)
    text = text.strip().removeprefix(":").removeprefix("：")
    return text.strip().replace("\n", "").strip()


def map_labels(labels: Iterable[str], profile: Profile = "affectgpt2025") -> list[dict[str, Any]]:
    """What each label becomes: `case1`, `case2`, and five words at `level1` and `level2`; None where unknown."""
    table = wheel_table(profile)
    maps = []
    for label in map(normalise, parse_labels(labels)):
        rings = {
            f"level{level}": [table.value(label, f"case3_wheel{k}_level{level}") for k in range(1, 6)]
            for level in (1, 2)
        }
        maps.append({"case1": table.value(label, "case1"), "case2": table.value(label, "case2"), **rings})
    return maps
