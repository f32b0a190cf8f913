"""Words <-> claims: the closed vocabulary of claims.yaml, which both writes training targets and reads answers.

``read_claim(channel, phrase(channel, claim)) == claim`` for every claim of the vocabulary. Free words may stand
around a claim; the first claim of an observation counts, and of two spellings that begin at the same word the
longer one.
"""

import math
import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from cuewise.mllm.evidence.words import quoted
from cuewise.mllm.report import Channel, Claim

DEGREES = ("slightly", "clearly", "strongly")
_TOKEN = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*|[;,.:()\[\]/]")
_BOUNDARY = frozenset(";,.:()[]/")
_ACTION_NOTE = re.compile(r"\(\s*AU\s*\d+[^)]*\)", re.IGNORECASE)
_LEVELS, _TRENDS = ("higher", "lower"), ("steady", "rising", "falling")


@dataclass(frozen=True, slots=True)
class Direction:
    """One thing that can be claimed of an attribute, and how it is measured. See claims.yaml for the terms."""

    attribute: str
    name: str
    quantities: tuple[str, ...]
    unit: str
    thresholds: tuple[float, float, float]
    """x beyond which slightly, clearly, strongly is supported."""
    phrase: str
    """Template with ``{degree}`` (and ``{quote}`` for words)."""
    opposite: str | None = None
    scale: str = "linear"
    sign: int = 1
    magnitude: bool = False
    halves: bool = False
    """Compares the second half of the span with the first, a trend of quantities that have no slope of their own."""
    against: float | None = None
    """x at or below which the opposite side begins; None: minus the threshold of the degree."""
    references: tuple[str, ...] = ("same_speaker_rest", "population")
    zero: float = 0.0
    population: dict[str, list[float]] = field(default_factory=dict)
    population_factor: float = 1.0
    why_no_population: str = ""
    usual: float = 0.0
    """x that neutral speech seldom exceeds; a claim below it is true but not worth proposing."""
    graded: bool = True
    """False: the claim has no degrees and is always read and written as `clearly`."""
    propose: bool = True
    """False: true of most clips, so it is checked when claimed but never proposed."""

    def threshold(self, degree: str) -> float:
        """x beyond which `degree` is supported."""
        return self.thresholds[DEGREES.index(degree)]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """All claims of one channel, their spellings, and how much must be measured for a verdict."""

    amount: str
    minimum: float
    minimum_rest: float
    registers: dict[str, Any]
    directions: dict[tuple[str, str], Direction]
    spellings: dict[tuple[str, ...], tuple[str, str]]
    longest: int


def read_claim(channel: Channel, observation: str) -> Claim | None:
    """The first claim in `observation`, or None when it makes none that could be checked."""
    known = load(channel)
    if channel == "words":
        return Claim(attribute="quote", direction="present") if quoted(observation) else None
    for clause in _clauses(observation):
        claim = _claim_of(clause, known)
        if claim is not None:
            return claim
    return None


def phrase(channel: Channel, claim: Claim, quote: str | None = None) -> str:
    """The canonical wording of `claim`; a claim about words needs the `quote` it is about."""
    meaning = direction(channel, claim)
    if claim.degree not in degrees(channel, claim.attribute, claim.direction):
        what = f"{channel} {claim.attribute} {claim.direction}"
        raise ValueError(f"{what} has no degrees, got {claim.degree!r}; use 'clearly'")
    if channel == "words" and not quote:
        raise ValueError("a claim about words needs the quote it is about; pass quote='...'")
    return " ".join(meaning.phrase.replace("{degree}", claim.degree).replace("{quote}", quote or "").split())


def vocabulary(channel: Channel) -> list[tuple[str, str]]:
    """Every (attribute, direction) that can be claimed of `channel`."""
    return list(load(channel).directions)


def degrees(channel: Channel, attribute: str, direction_name: str) -> tuple[str, ...]:
    """Degrees a claim can have: three, or `clearly` alone where a degree would say nothing."""
    claim = Claim(attribute=attribute, direction=direction_name)
    return DEGREES if direction(channel, claim).graded else ("clearly",)


def opposite(channel: Channel, claim: Claim) -> Claim | None:
    """The claim that says the contrary in the same degree, or None where the vocabulary has none."""
    other = direction(channel, claim).opposite
    if other is None:
        return None
    degree = claim.degree if load(channel).directions[claim.attribute, other].graded else "clearly"
    return Claim(attribute=claim.attribute, direction=other, degree=degree)


def direction(channel: Channel, claim: Claim) -> Direction:
    """What `claim` means. Raises ValueError, naming what exists, for a claim outside the vocabulary."""
    known = load(channel).directions
    if (claim.attribute, claim.direction) not in known:
        attributes = list(dict.fromkeys(attribute for attribute, _ in known))
        if claim.attribute not in attributes:
            raise ValueError(f"{channel} has no attribute {claim.attribute!r}; it has {', '.join(attributes)}")
        names = [name for attribute, name in known if attribute == claim.attribute]
        raise ValueError(f"{channel} {claim.attribute} cannot be {claim.direction!r}; it can be {', '.join(names)}")
    return known[claim.attribute, claim.direction]


def _clauses(observation: str) -> list[list[str]]:
    text = _ACTION_NOTE.sub(" ", observation).lower().replace("’", "'")
    clauses: list[list[str]] = [[]]
    for token in _TOKEN.findall(text):
        if token in _BOUNDARY:
            clauses.append([])
        elif token not in _data()["ignored"]:
            clauses[-1].append(token)
    return clauses


def _claim_of(clause: list[str], known: Vocabulary) -> Claim | None:
    """The first claim of one clause; degree words are looked through while matching, then read beside the match."""
    degree_words, negations = _data()["degree_of"], _data()["negations"]
    places = [at for at, token in enumerate(clause) if token not in degree_words]
    for first in range(len(places)):
        for count in range(min(known.longest, len(places) - first), 0, -1):
            inside = places[first : first + count]
            found = known.spellings.get(tuple(clause[at] for at in inside))
            if found is None:
                continue
            before = clause[max(0, inside[0] - 2) : inside[0]]
            if any(token in negations or token.endswith("n't") for token in before):
                return None
            beside = clause[inside[0] : inside[-1] + 1] + before[::-1][:1] + clause[inside[-1] + 1 : inside[-1] + 2]
            degree = next((degree_words[token] for token in beside if token in degree_words), "clearly")
            graded = known.directions[found].graded
            return Claim(attribute=found[0], direction=found[1], degree=degree if graded else "clearly")
    return None


@lru_cache(maxsize=1)
def _data() -> dict[str, Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    data = yaml.load(Path(__file__).with_name("claims.yaml").read_text(encoding="utf-8"), loader)
    data["degree_of"] = {word: degree for degree, words in data["degrees"].items() for word in words}
    data["ignored"], data["negations"] = frozenset(data["ignored"]), frozenset(data["negations"])
    return data


@lru_cache(maxsize=4)
def load(channel: Channel) -> Vocabulary:
    """The vocabulary of one channel, read from claims.yaml once."""
    data = _data()
    if channel not in data["channels"]:
        raise ValueError(f"there is no channel {channel!r}; channels are {', '.join(data['channels'])}")
    room = data["channels"][channel]
    directions: dict[tuple[str, str], Direction] = {}
    spellings: dict[tuple[str, ...], tuple[str, str]] = {}
    for attribute, entry in room["attributes"].items():
        options = {**_levels(entry), **entry.get("directions", {})}
        for name, values in options.items():
            words = entry.get("words", {}).get(name, []) + values.get("words", []) + room.get("words", {}).get(name, [])
            directions[attribute, name] = _direction(attribute, name, values, entry, room, words)
            for spelling in _spellings(entry, name, values, words, data["ignored"]):
                spellings.setdefault(spelling, (attribute, name))
    longest = max((len(spelling) for spelling in spellings), default=0)
    return Vocabulary(room["amount"], room["minimum"], room["minimum_rest"], room.get("registers", {}), directions,
                      spellings, longest)  # fmt: skip


def _levels(entry: dict) -> dict[str, dict]:
    """The directions of an attribute that is a number: higher and lower, and over time steady, rising, falling."""
    found: dict[str, dict] = {}
    if level := entry.get("level"):
        for sign, default in zip((1, -1), _LEVELS):
            name = level.get("up" if sign > 0 else "down", default)
            found[name] = {**{k: v for k, v in level.items() if k not in ("up", "down")}, "sign": sign}
    if trend := entry.get("trend"):
        common = {k: v for k, v in trend.items() if k != "steady"} | {"references": ["absolute"]}
        bound = -(math.log(trend["steady"]) if trend.get("scale") == "ratio" else trend["steady"])
        found["steady"] = common | {"thresholds": [bound] * 3, "against": bound, "sign": -1, "magnitude": True,
                                    "graded": False, "propose": False, "logs": True}  # fmt: skip
        found["rising"] = common | {"sign": 1}
        found["falling"] = common | {"sign": -1}
    return found


def _direction(attribute: str, name: str, values: dict, entry: dict, room: dict, words: list[str]) -> Direction:
    action = values.get("action")
    if action is not None:
        actions = action if isinstance(action, list) else [action]
        values = {"quantity": actions, **room["action"], **values}
    quantity = values["quantity"]
    thresholds = values["thresholds"]
    if values.get("scale") == "ratio" and not values.get("logs"):
        thresholds = [math.log(factor) for factor in thresholds]
    template = values.get("phrase") or entry.get("phrases", {}).get(name)
    if template is None:
        note = "" if action is None else f" (AU{'+'.join(code.removeprefix('AU') for code in actions)})"
        degree = "{degree} " if values.get("graded", True) else ""
        template = f"{entry['names'][0]} {degree}{words[0]}{note}"
    usual = entry.get("usual", {}).get(name, 0.0)
    if values.get("scale") == "ratio" and usual:
        usual = math.log(usual)
    kept = ("scale", "sign", "magnitude", "halves", "against", "zero", "graded", "propose")
    return Direction(
        attribute=attribute, name=name, quantities=tuple(quantity) if isinstance(quantity, list) else (quantity,),
        unit=values["unit"], thresholds=tuple(thresholds), phrase=template,
        opposite=values.get("opposite") or _default_opposite(name, entry),
        references=tuple(values.get("references", ("same_speaker_rest", "population"))),
        population=values.get("population") or entry.get("population") or {},
        population_factor=values.get("population_factor") or entry.get("population_factor") or 1.0,
        why_no_population=entry.get("why_no_population", ""), usual=usual,
        **{key: values[key] for key in kept if key in values},
    )  # fmt: skip


def _default_opposite(name: str, entry: dict) -> str | None:
    others = {**_levels(entry), **entry.get("directions", {})}
    for pair in _data()["opposites"]:
        if name in pair:
            other = pair[1 - pair.index(name)]
            return other if other in others else None
    return None


def _spellings(
    entry: dict, name: str, values: dict, words: list[str], ignored: frozenset[str]
) -> list[tuple[str, ...]]:
    texts = [f"{who} {word}" for who in entry.get("names", []) for word in words]
    texts += [f"{word} {who}" for who in entry.get("names", []) for word in words]
    texts += entry.get("also", {}).get(name, []) + values.get("also", [])
    return [tuple(token for token in text.split() if token not in ignored) for text in texts]
