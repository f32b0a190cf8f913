"""Emotion wheels: a free emotion word -> the sector of each of five wheels, in three named profiles.

A word is reduced to *roots* (spelling table), roots are synonyms of *wheel words*, and a wheel word lies in a core
(level 1) and a middle (level 2) sector of each wheel that knows it. Profiles:

* ``affectgpt2025``: the published MER-UniBench, OV-MER and MER2025 numbers, its surprising mappings included.
* ``mer2026``: the same without 30 wrong spellings (``fear`` no longer counts as a form of ``fearless``).
* ``cuewise2026``: ours. A wheel word maps to its own sector, other words by a vote of their wheel words, and
  ``neutral`` is a sector of its own. Never comparable with published numbers.

Facts are in ``data/wheels.txt`` and ``data/spellings.txt``; docs/taxonomy.md names their sources.
"""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple, get_args

Profile = Literal["affectgpt2025", "mer2026", "cuewise2026"]
PROFILES: tuple[Profile, ...] = get_args(Profile)
WHEELS = (1, 2, 3, 4, 5)
LEVEL1_IDS = tuple(f"case3_wheel{k}_level1" for k in WHEELS)
LEVEL2_IDS = tuple(f"case3_wheel{k}_level2" for k in WHEELS)
METRIC_IDS = ("case1", "case2", *(f"case3_wheel{k}_level{level}" for k in WHEELS for level in (1, 2)))
NEUTRAL_WORDS = frozenset({"neutral", "neutrality", "neutrally"})

# Weight of a wheel word's vote in the repaired profile by ring (0 core, 1 middle, 2 outer). The nearer the hub, the
# more general the word; but a core word does not say which middle sector is meant, so at level 2 it only breaks ties.
_VOTES = {1: (3.0, 2.0, 1.0), 2: (0.5, 2.0, 1.0)}
_DATA = Path(__file__).parent / "data"
_CACHED_LABELS = 100_000


class Field(NamedTuple):
    """Where one metric id lives in a packed mask: ``(mask >> shift) & ones``; bit i stands for ``values[i]``."""

    metric_id: str
    shift: int
    ones: int
    values: tuple[str, ...]


def data_lines(name: str) -> list[str]:
    """Lines of a data file of this room, comments left out."""
    text = (_DATA / name).read_text(encoding="utf-8")
    return [line for line in text.split("\n") if line and line[0] != "#"]


def normalise(label: str) -> str:
    """A label as the tables spell it: lower-cased, then trimmed; nothing else changes."""
    return label.lower().strip()


class LabelMasks(dict):
    """Label -> packed bit mask over some metric ids, filled on demand; an unknown label is 0.

    Bits of a set of labels are joined with ``|``; ``fields`` says where each metric id lies.
    """

    def __init__(self, table: "WheelTable", metric_ids: Iterable[str]):
        super().__init__()
        self.table = table
        self.fields: list[Field] = []
        self._looked_up: list[tuple[str, dict[str, int]]] = []
        self._compiled: list[tuple[int, dict[int, int]]] = []
        self._by_words: dict[int, int] = {}
        shift = 0
        for metric_id in metric_ids:
            values = table.values(metric_id)
            self.fields.append(Field(metric_id, shift, (1 << len(values)) - 1, values))
            bits = {value: 1 << (shift + bit) for bit, value in enumerate(values)}
            if metric_id in table.lookups and not table.repaired:
                first = {table.word_bit[word]: bits[sector] for word, sector in table.lookups[metric_id].items()}
                self._compiled.append((sum(first), first))
            else:
                self._looked_up.append((metric_id, bits))
            shift += len(values)

    def __missing__(self, raw: str) -> int:
        label, mask, words = normalise(raw), 0, 0
        roots = self.table.roots.get(label)
        if roots is not None or self.table.repaired:
            for metric_id, bits in self._looked_up:
                value = self.table.value(label, metric_id)
                mask |= 0 if value is None else bits[value]
        for root in roots or ():
            words |= self.table.root_words[root]
        if words:
            mask |= self._by_words.get(words) or self._decide(words)
        if len(self) >= _CACHED_LABELS:
            self.clear()
        self[raw] = mask
        return mask

    def _decide(self, words: int) -> int:
        """Sectors of a set of wheel words: bits are in alphabetical order, so the lowest known one decides."""
        mask = 0
        for known, first in self._compiled:
            candidates = words & known
            if candidates:
                mask |= first[candidates & -candidates]
        self._by_words[words] = mask
        return mask


class WheelTable:
    """The lookups of one profile. Use `wheel_table(profile)`, which builds each once."""

    def __init__(self, profile: Profile):
        if profile not in PROFILES:
            raise ValueError(f"unknown wheel profile {profile!r}; known: {', '.join(PROFILES)}")
        self.profile = profile
        self.repaired = profile == "cuewise2026"
        self.roots, self.wheel_words = _read_spellings(drop_2026=profile != "affectgpt2025")
        self.lookups = _read_wheels()
        words = sorted({word for lookup in self.lookups.values() for word in lookup})
        self.word_bit = {word: 1 << index for index, word in enumerate(words)}
        self.root_words = {root: sum(self.word_bit[word] for word in of) for root, of in self.wheel_words.items()}
        self._masks: dict[tuple[str, ...], LabelMasks] = {}

    def masks(self, metric_ids: tuple[str, ...] = METRIC_IDS) -> LabelMasks:
        """The label -> mask dictionary over `metric_ids`, shared between callers."""
        if metric_ids not in self._masks:
            self._masks[metric_ids] = LabelMasks(self, metric_ids)
        return self._masks[metric_ids]

    def values(self, metric_id: str) -> tuple[str, ...]:
        """Every value a metric id can take, sorted."""
        if metric_id == "case1":
            found = set(self.wheel_words)
        elif metric_id == "case2":
            found = {word for words in self.wheel_words.values() for word in words}
        else:
            found = set(self._lookup(metric_id).values())
        return tuple(sorted(found | ({"neutral"} if self.repaired else set())))

    def value(self, label: str, metric_id: str) -> str | None:
        """What `label` (already normalised) becomes under one metric id; None when unknown."""
        if self.repaired and label in NEUTRAL_WORDS:
            return "neutral"
        roots = self.roots.get(label)
        if roots is None:
            return None
        if metric_id == "case1":
            return min(roots)
        if metric_id == "case2":
            return min(self.wheel_words[min(roots)])
        lookup = self._lookup(metric_id)
        if self.repaired:
            return self._repaired_sector(label, roots, metric_id)
        known = [word for root in roots for word in self.wheel_words[root] if word in lookup]
        return lookup[min(known)] if known else None

    def _repaired_sector(self, label: str, roots: list[str], metric_id: str) -> str | None:
        lookup = self._lookup(metric_id)
        if label in lookup:
            return lookup[label]
        words = [root for root in roots if root in lookup]
        words = words or sorted({word for root in roots for word in self.wheel_words[root] if word in lookup})
        return self._vote(words, lookup, wheel=metric_id[:-1] + "1", level=int(metric_id[-1]))

    def _vote(self, words: list[str], lookup: dict[str, str], wheel: str, level: int) -> str | None:
        cores, middles = set(self.lookups[wheel].values()), set(self.lookups[wheel[:-1] + "2"].values())
        votes: dict[str, float] = {}
        for word in words:
            ring = 0 if word in cores else 1 if word in middles else 2
            votes[lookup[word]] = votes.get(lookup[word], 0.0) + _VOTES[level][ring]
        return max(votes, key=lambda sector: votes[sector], default=None)

    def _lookup(self, metric_id: str) -> dict[str, str]:
        try:
            return self.lookups[metric_id]
        except KeyError:
            raise ValueError(f"unknown metric id {metric_id!r}; known: {', '.join(METRIC_IDS)}") from None


def wheel_table(profile: Profile = "affectgpt2025") -> WheelTable:
    """The table of a profile, read once per process."""
    return _table(profile)


@cache
def _table(profile: Profile) -> WheelTable:
    return WheelTable(profile)


def level1(label: str, wheel: int, profile: Profile = "affectgpt2025") -> str | None:
    """Core word of `label` in wheel 1 to 5; None when the wheel does not know it."""
    return wheel_table(profile).value(normalise(label), f"case3_wheel{wheel}_level1")


def level2(label: str, wheel: int, profile: Profile = "affectgpt2025") -> str | None:
    """Middle word of `label` in wheel 1 to 5; None when the wheel does not know it."""
    return wheel_table(profile).value(normalise(label), f"case3_wheel{wheel}_level2")


@cache
def _read_wheels() -> dict[str, dict[str, str]]:
    """Metric id -> {wheel word: sector}. Places are written in ring order and the last one wins."""
    lookups: dict[str, dict[str, str]] = {metric_id: {} for metric_id in LEVEL1_IDS + LEVEL2_IDS}
    for line in data_lines("wheels.txt"):
        wheel, core, rows = line.split("|")
        inner, outer = lookups[f"case3_wheel{wheel}_level1"], lookups[f"case3_wheel{wheel}_level2"]
        sectors = [row.split(": ") for row in rows.split("; ")]
        inner[core], outer[core] = core, min(middle for middle, _ in sectors)
        for middle, words in sectors:
            for word in (middle, *words.split(", ")):
                inner[word], outer[word] = core, middle
    return lookups


@cache
def _read_spellings(drop_2026: bool) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Spelling -> its roots, and root -> its wheel words."""
    roots: dict[str, list[str]] = {}
    wheel_words: dict[str, list[str]] = {}
    for line in data_lines("spellings.txt"):
        root, words, forms = line.split("=")
        wheel_words[root] = words.split(",")
        roots.setdefault(root, []).append(root)
        for form in forms.split(",") if forms else ():
            if form[0] == "!":
                if drop_2026:
                    continue
                form = form[1:]
            if form[0] == "+":
                form = root + form[1:]
            roots.setdefault(form, []).append(root)
    return roots, wheel_words
