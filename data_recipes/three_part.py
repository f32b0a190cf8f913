"""Three-part explanations of a face (ExpLLM): key observations, their interpretation, the conclusion last.

    text = explain({"AU6": 0.6, "AU12": 0.9}, "happy")
    read_three_part(text).problems, check_claims(text, {"AU6": 0.6, "AU12": 0.9})

Intensities lie in [0, 1] and are put into words by `Bins`; a checker reads every "unit, degree" of a text and holds it
against the numbers. `as_target` gives the same content in our own answer form. ExpLLM itself answers first and explains
later; here the label stands in the last part only, so that the reasoning can lead to it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cuewise.data_recipes.corpora.labels import common_label
from cuewise.data_recipes.synthetic.emotions import supported_labels
from cuewise.mllm.evidence.claims import direction, phrase, vocabulary
from cuewise.mllm.report import Claim, Cue, ParsedAnswer

HEADINGS = ("Key Observations", "Overall Emotional Interpretation", "Conclusion")
DEGREE_WORDS = {"slight": "slightly", "clear": "clearly", "strong": "strongly"}
"""Degree in an explanation -> degree of a claim."""

FEAFA = (
    "AU43 left", "AU43 right", "AU5 left", "AU5 right", "AU4 left", "AU4 right", "AU1 left", "AU1 right", "AU26",
    "jaw left", "jaw right", "AU12 left", "AU12 right", "AU20 left", "AU20 right", "AU28 upper", "AU28 lower", "AU29",
    "AU10", "AU16", "AU17", "AU18", "AU34", "AU9",
)  # fmt: skip
"""What each of the 24 numbers of a FEAFA vector measures; the order was inferred from samples, not published."""

_HEADING = re.compile(r"^\W*(" + "|".join(HEADINGS) + r")\W*$", re.IGNORECASE | re.MULTILINE)
_CLAIM = re.compile(r"\bAU\s?(\d{1,2})\b[^.\n]*?\b(absent|slight|clear|strong)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Bins:
    """Intensities from which a unit is slight, clear and strong; below the first it is absent."""

    slight: float = 0.2
    clear: float = 0.5
    strong: float = 0.8

    def __post_init__(self) -> None:
        if not 0 < self.slight < self.clear < self.strong <= 1:
            raise ValueError(f"bins must rise within (0, 1], got {self.slight}, {self.clear}, {self.strong}")

    def degree(self, intensity: float) -> str:
        """The word for an intensity.

        >>> [Bins().degree(x) for x in (0.19, 0.2, 0.5, 0.8, 0.81)]
        ['absent', 'slight', 'clear', 'clear', 'strong']
        """
        if intensity < self.slight:
            return "absent"
        return "slight" if intensity < self.clear else "clear" if intensity <= self.strong else "strong"


@dataclass(frozen=True, slots=True)
class ThreePart:
    """A text read into its parts. `problems` are stable codes."""

    observations: str
    interpretation: str
    conclusion: str
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UnitClaim:
    """One "unit, degree" of a text against its measured intensity; `measured` is None for an unknown unit."""

    unit: str
    claimed: str
    measured: str | None

    @property
    def holds(self) -> bool:
        return self.claimed == self.measured


def explain(units: Mapping[str, float], label: str, bins: Bins | None = None) -> str:
    """The explanation of a label by intensities in [0, 1], strongest first; absent units are not mentioned."""
    shown = _shown(units, bins or Bins())
    lines = [f"{HEADINGS[0]}:"]
    for unit, degree in shown:
        meaning = _meanings(unit)
        seen = f": seen in {', '.join(meaning)} faces" if meaning else ""
        lines.append(f"- {unit} ({_action(unit)}), {degree}{seen}")
    if not shown:
        lines.append("- no action unit stands out")
    lines += ["", f"{HEADINGS[1]}:", _interpretation(shown, label), "", f"{HEADINGS[2]}:", label]
    return "\n".join(lines)


def read_three_part(text: str, labels: Sequence[str] = ()) -> ThreePart:
    """The parts of a text.

    Problems: `missing_part`, `wrong_order`, `empty_part`, and `label_before_conclusion` when one of `labels` (by
    default the word of the conclusion) stands as the answer before the last part.
    """
    found = [(match.group(1).lower(), match.start(), match.end()) for match in _HEADING.finditer(text)]
    order = [name for name, _, _ in found]
    known = [heading.lower() for heading in HEADINGS]
    problems = []
    if set(order) != set(known):
        problems.append("missing_part")
    if list(dict.fromkeys(order)) != [name for name in known if name in order]:
        problems.append("wrong_order")
    ends = [start for _, start, _ in found[1:]] + [len(text)]
    parts = {name: text[begin:end].strip() for (name, _, begin), end in reversed(list(zip(found, ends)))}
    observations, interpretation, conclusion = (parts.get(name, "") for name in known)
    if any(name in parts and not parts[name] for name in known):
        problems.append("empty_part")
    answers = [label.lower() for label in labels] or [conclusion.lower().strip(" .")]
    before = text[: found[0][1]] if found else text
    if any(answer and re.search(rf"\b{re.escape(answer)}\b", before.lower()) for answer in answers):
        problems.append("label_before_conclusion")
    return ThreePart(observations, interpretation, conclusion, tuple(problems))


def check_claims(text: str, units: Mapping[str, float], bins: Bins | None = None) -> list[UnitClaim]:
    """Every unit with a degree that the text names, against the intensities; a unit that is not given is not known."""
    bins = bins or Bins()
    return [
        UnitClaim(unit, degree.lower(), bins.degree(units[unit]) if unit in units else None)
        for unit, degree in ((f"AU{int(number)}", degree) for number, degree in _CLAIM.findall(text))
    ]


def as_target(units: Mapping[str, float], label: str, bins: Bins | None = None) -> ParsedAnswer:
    """The same content as an explained answer of ours: units as cues, the interpretation as reasoning, the label last.

    Raises ValueError when no unit of the claim vocabulary is shown: there is nothing to explain the label with.
    """
    shown = _shown(units, bins or Bins())
    cues = []
    for unit, degree in shown:
        claim = _claim(unit, DEGREE_WORDS[degree])
        if claim is not None:
            supports = [label] if common_label(label) in _meanings(unit) else []
            cues.append(Cue(channel="face", observation=phrase("face", claim), supports=supports))
    if not cues:
        raise ValueError(f"no action unit is shown that a cue can name; shown: {dict(shown) or 'none'}")
    return ParsedAnswer(form="explained", labels=[label], cues=cues, reasoning=_interpretation(shown, label))


def feafa_units(vector: Sequence[float]) -> dict[str, float]:
    """Action units of a FEAFA vector of 24 numbers in [0, 1]; the stronger side counts, jaw shifts have no unit."""
    if len(vector) != len(FEAFA):
        raise ValueError(f"a FEAFA vector has {len(FEAFA)} numbers, got {len(vector)}")
    units: dict[str, float] = {}
    for name, value in zip(FEAFA, vector):
        if not 0 <= value <= 1:
            raise ValueError(f"FEAFA intensities lie in [0, 1], got {value} for {name}")
        if name.startswith("AU"):
            unit = name.split()[0]
            units[unit] = max(units.get(unit, 0.0), float(value))
    return units


def _shown(units: Mapping[str, float], bins: Bins) -> list[tuple[str, str]]:
    for unit, value in units.items():
        if not 0 <= value <= 1:
            raise ValueError(f"intensities lie in [0, 1], got {value} for {unit}; divide a 0-5 scale by 5")
    ranked = sorted(units.items(), key=lambda item: (-item[1], item[0]))
    return [(unit, degree) for unit, value in ranked if (degree := bins.degree(value)) != "absent"]


def _claim(unit: str, degree: str) -> Claim | None:
    for attribute, name in vocabulary("face"):
        if unit in direction("face", Claim(attribute=attribute, direction=name)).quantities:
            return Claim(attribute=attribute, direction=name, degree=degree)
    return None


def _action(unit: str) -> str:
    claim = _claim(unit, "clearly")
    return "another movement" if claim is None else f"{claim.attribute} {claim.direction}"


def _meanings(unit: str) -> list[str]:
    claim = _claim(unit, "clearly")
    return [] if claim is None else supported_labels("face", claim.attribute, claim.direction)


def _interpretation(shown: Sequence[tuple[str, str]], label: str) -> str:
    """How the units add up, without saying to what: that is the conclusion."""
    common = common_label(label)
    fitting = [unit for unit, _ in shown if common in _meanings(unit)]
    other = [unit for unit, _ in shown if unit not in fitting]
    if not shown:
        return "The face is at rest."
    if not fitting:
        return f"{_listed(other)} can mean several things; none of them decides alone."
    text = f"{_listed(fitting)} {'fits' if len(fitting) == 1 else 'fit together into'} one expression"
    return f"{text}; {_listed(other)} {'does' if len(other) == 1 else 'do'} not contradict it." if other else f"{text}."


def _listed(units: Sequence[str]) -> str:
    return units[0] if len(units) == 1 else ", ".join(units[:-1]) + " and " + units[-1]
