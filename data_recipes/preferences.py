"""Preference rows by planned corruption: the right answer against one that is wrong in exactly one known way.

    for row in preferences(rows, seed=0):
        row.chosen, row.rejected, row.rejected_kind, row.rejected_inputs

Kinds (AVERE, ICLR 2026, plus two of ours), each about one channel:

* ``spurious``: a cue is replaced by something that is in the clip but does not speak for the emotion.
* ``hallucinated``: a cue is replaced by one that is typical of the emotion but not in the clip.
* ``flipped``: a cue claims the opposite of what is there.
* ``swapped``: the cues of the channel are those of another clip with another emotion.

Every row also names, in `rejected_inputs`, a clip of another emotion whose stream replaces that channel in the rejected
*input*; the other channels stay as they are. Labels and reasoning are the same on both sides, so the cue decides.
"""

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from cuewise.data_recipes.corpora.labels import common_label, nearest
from cuewise.data_recipes.schema import Row
from cuewise.data_recipes.synthetic.emotions import emotion_table, supported_labels
from cuewise.data_recipes.synthetic.plan import ENTANGLED
from cuewise.data_recipes.targets import QUOTE_WORDS, labelled_channels, observed_cues, target
from cuewise.mllm.evidence.check import check_cue
from cuewise.mllm.evidence.claims import direction, opposite, phrase, read_claim
from cuewise.mllm.evidence.observe import observe
from cuewise.mllm.evidence.types import Measurements
from cuewise.mllm.report import Channel, Claim, Cue, ParsedAnswer, render
from cuewise.mllm.taxonomy import same_core

Kind = Literal["spurious", "hallucinated", "flipped", "swapped"]
KINDS: tuple[Kind, ...] = get_args(Kind)
TASK = "preference"
MADE = "synthetic"
"""Corpus whose rows know everything that their clips show."""

ABSENT_BELOW = 0.1
"""Mean intensity (0-5) of an action unit that counts as never shown."""

ANYWAY = frozenset((
    ("lips", "parted"), ("jaw", "dropped"), ("eyes", "closed"), ("head", "toward"), ("gaze", "toward"),
    ("pitch", "steady"), ("loudness", "steady"), ("rate", "steady"),
))  # fmt: skip
"""What speech, blinks and most clips show anyway: never taken to be absent without a measurement."""


@dataclass(frozen=True, slots=True)
class Corruption:
    """What is wrong with a rejected answer: `removed` cues of the right one, `added` cues in their place."""

    kind: Kind
    channel: Channel
    removed: tuple[Cue, ...]
    added: tuple[Cue, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """A row with what is known about its clip beyond the row."""

    row: Row
    measurements: Measurements | None = None
    """For real clips: what was measured; corruptions must then be contradicted by it."""

    irrelevant: tuple[Cue, ...] = ()
    """What is in the clip and means nothing (`PlannedCue.cue()` of a synthetic clip's spurious action)."""


def preferences(
    sources: Iterable[Row | Source], *, kinds: Sequence[Kind] = KINDS, seed: int = 0, per_row: int = 2
) -> Iterator[Row]:
    """Preference rows, at most `per_row` for each source, of different kinds where the clip allows it.

    A source whose answer has no cue, or for which no corruption is certain to be wrong, gives none. Everything follows
    from the row id and `seed`, whatever else is in the list, save for the choice of the partner clip.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise ValueError(f"unknown kind of corruption `{kind}`; {nearest(kind, KINDS)}")
    listed = [one if isinstance(one, Source) else Source(one) for one in sources]
    listed = [one for one in listed if one.row.labels]
    partners = _partners([one.row for one in listed])
    for source in listed:
        rng = np.random.default_rng([seed, zlib.crc32(source.row.id.encode())])
        right = right_answer(source)
        if right is None:
            continue
        made = 0
        for kind in rng.permutation(list(kinds)):
            if made == per_row:
                break
            found = _preference(source, right, str(kind), partners, rng)
            if found is not None:
                made += 1
                yield found


def right_answer(source: Source) -> ParsedAnswer | None:
    """The explained answer to a source; None when its clip shows no cue. Measured cues are used where none is known."""
    row = source.row
    if not row.cues and source.measurements is not None:
        row = row.model_copy(update={"cues": observed_cues(row, source.measurements)})
    answer = target(row)
    return answer if answer.form == "explained" else None


def corrupt(
    source: Source, right: ParsedAnswer, kind: Kind, rng: np.random.Generator, partner: Row | None = None,
    channel: Channel | None = None,
) -> Corruption | None:  # fmt: skip
    """One corruption of `right`, of a cue of `channel` (by default any); None where none is certain to be wrong."""
    options = [cue for cue in right.cues if channel in (None, cue.channel)]
    for index in rng.permutation(len(options)):
        cue = options[index]
        if kind == "swapped":
            added = _partner_cues(cue.channel, right, partner)
            removed = tuple(one for one in right.cues if one.channel == cue.channel)
        else:
            make = {"spurious": _spurious, "hallucinated": _hallucinated, "flipped": _flipped}[kind]
            wrong = make(source, right, cue, rng)
            removed, added = (cue,), () if wrong is None else (wrong,)
        if added:
            return Corruption(kind, cue.channel, removed, added)
    return None


def apply(right: ParsedAnswer, corruption: Corruption) -> ParsedAnswer:
    """The rejected answer: the added cues stand where the first removed one stood."""
    first = next(i for i, cue in enumerate(right.cues) if cue in corruption.removed)
    kept = [cue for cue in right.cues if cue not in corruption.removed]
    before = [cue for cue in right.cues[:first] if cue not in corruption.removed]
    cues = [*before, *corruption.added, *kept[len(before) :]]
    return right.model_copy(update={"cues": cues})


def _preference(
    source: Source, right: ParsedAnswer, kind: Kind, partners: Mapping[Channel, list[Row]], rng: np.random.Generator
) -> Row | None:
    row = source.row
    channels = list(dict.fromkeys(cue.channel for cue in right.cues))
    for channel in rng.permutation(channels):
        partner = _partner(row, channel, partners, rng)
        corruption = corrupt(source, right, kind, rng, partner, channel)
        if corruption is None:
            continue
        return row.model_copy(update={
            "id": f"{row.id}:{kind}:{channel}", "task": TASK, "chosen": render(right),
            "rejected": render(apply(right, corruption)), "rejected_kind": kind,
            "rejected_inputs": {} if partner is None else {str(channel): partner.id},
        })  # fmt: skip
    return None


def _spurious(source: Source, right: ParsedAnswer, cue: Cue, rng: np.random.Generator) -> Cue | None:
    """Something that is there and speaks for another emotion or for none, said to speak for this one."""
    label = right.labels[0]
    pool = [one for one in source.irrelevant if one.channel == cue.channel]
    if source.measurements is not None and cue.channel != "words":
        pool += observe(source.measurements, cue.channel)
    pool += [one for one in source.row.cues if one.channel == cue.channel and not _agree(one.supports, right.labels)]
    pool = [one for one in pool if _meaning(one) not in {_meaning(known) for known in right.cues}
            and not _speaks_for(one, label)]  # fmt: skip
    if not pool and cue.channel == "words":
        pool = _idle_quotes(source.row, right)
    if not pool:
        return None
    return _written(pool[rng.integers(len(pool))], cue.supports or right.labels[:1])


def _hallucinated(source: Source, right: ParsedAnswer, cue: Cue, rng: np.random.Generator) -> Cue | None:
    """A cue typical of the label, at the time of `cue`, that the clip does not show."""
    label = common_label(right.labels[0])
    if cue.channel not in ("face", "voice") or label is None:
        return None
    shown = [*source.row.cues, *right.cues, *source.irrelevant]
    known = {meaning[1] for one in shown if (meaning := _meaning(one)) and meaning[0] == cue.channel}
    known |= {name for family in ENTANGLED if family & known for name in family}
    kinds = [kind for kind in emotion_table()[label].cues(cue.channel) if kind.attribute not in known]
    if source.measurements is None:
        kinds = [kind for kind in kinds if (kind.attribute, kind.direction) not in ANYWAY]
    for index in rng.permutation(len(kinds)):
        kind = kinds[index]
        claim = Claim(attribute=kind.attribute, direction=kind.direction, degree=kind.degrees[len(kind.degrees) // 2])
        made = cue.model_copy(update={"observation": phrase(cue.channel, claim), "claim": None, "check": None})
        if _surely_wrong(made, source):
            return made
    return None


def _flipped(source: Source, right: ParsedAnswer, cue: Cue, rng: np.random.Generator) -> Cue | None:
    """The opposite claim, where the vocabulary has one."""
    claim = read_claim(cue.channel, cue.observation)
    other = None if claim is None or cue.channel == "words" else opposite(cue.channel, claim)
    if other is None:
        return None
    made = cue.model_copy(update={"observation": phrase(cue.channel, other), "claim": None, "check": None})
    taken = {_meaning(one) for one in [*source.row.cues, *right.cues]}
    if _meaning(made) in taken:
        return None
    # What was measured beyond a threshold lies on the far side of the opposite claim, so no second measurement is due.
    return made if source.measurements is None or _surely_wrong(made, source) else None


def _partner_cues(channel: Channel, right: ParsedAnswer, partner: Row | None) -> tuple[Cue, ...]:
    """What the partner's clip shows in the channel; nothing where it says the same."""
    answer = None if partner is None else target(partner)
    cues = [] if answer is None else [cue for cue in answer.cues if cue.channel == channel]
    mine = {_meaning(cue) for cue in right.cues if cue.channel == channel}
    return tuple(cues) if cues and not mine & {_meaning(cue) for cue in cues} else ()


def _partners(rows: Sequence[Row]) -> dict[Channel, list[Row]]:
    found: dict[Channel, list[Row]] = {}
    for row in rows:
        for channel in labelled_channels(row):
            found.setdefault(channel, []).append(row)
    return found


def _partner(row: Row, channel: Channel, partners: Mapping[Channel, list[Row]], rng: np.random.Generator) -> Row | None:
    """Another clip of the same split whose channel carries another emotion; None where there is none."""
    mine = channel_label(row, channel)
    listed = partners.get(channel, [])
    for index in rng.permutation(len(listed))[:50]:
        other = listed[index]
        same_place = other.corpus == row.corpus and other.split == row.split and other.id != row.id
        if same_place and not same_core(channel_label(other, channel), mine):
            return other
    return None


def channel_label(row: Row, channel: Channel) -> str:
    """What a channel alone was labelled, else the label of the row."""
    votes = row.votes.get(channel, {}) if channel != "scene" else {}
    return max(votes, key=lambda name: votes[name]) if votes else row.labels[0]


def _surely_wrong(cue: Cue, source: Source) -> bool:
    """Whether the clip cannot show `cue`, which none of its known cues claims.

    A made clip shows its known cues alone. For a real one the measurement must contradict the claim; without it the
    mean action units of the row can say that a face action is absent, and nothing else is certain.
    """
    if source.measurements is None:
        if source.row.corpus == MADE:
            return True
        claim = read_claim(cue.channel, cue.observation)
        if cue.channel != "face" or claim is None or not source.row.aus:
            return False
        units = direction("face", claim).quantities
        return all(unit in source.row.aus and source.row.aus[unit] < ABSENT_BELOW for unit in units)
    check = check_cue(cue, source.measurements).check
    return check is not None and check.verdict == "contradicted"


def _idle_quotes(row: Row, right: ParsedAnswer) -> list[Cue]:
    """A quotation from the transcript that no known cue makes."""
    said = " ".join(cue.observation.strip('"').lower() for cue in [*row.cues, *right.cues] if cue.channel == "words")
    clauses = [clause.split() for clause in (row.transcript or "").replace("?", ".").replace("!", ".").split(".")]
    quotes = [" ".join(words[:QUOTE_WORDS]).strip(" ,;:") for words in clauses if words]
    claim = Claim(attribute="quote", direction="present")
    return [
        Cue(channel="words", observation=phrase("words", claim, quote=quote))
        for quote in quotes
        if quote and quote.lower() not in said and not set(said.split()) & set(quote.lower().split())
    ]


def _speaks_for(cue: Cue, label: str) -> bool:
    claim = cue.claim or read_claim(cue.channel, cue.observation)
    if claim is None or cue.channel == "words":
        return False
    return common_label(label) in supported_labels(cue.channel, claim.attribute, claim.direction)


def _meaning(cue: Cue) -> tuple[str, str, str] | None:
    """(channel, attribute, direction), for quotes the quote itself."""
    claim = cue.claim or read_claim(cue.channel, cue.observation)
    if claim is None:
        return None
    what = cue.observation.lower() if claim.attribute == "quote" else claim.direction
    return cue.channel, claim.attribute, what


def _agree(labels: Sequence[str], others: Sequence[str]) -> bool:
    return any(same_core(a, b) for a in labels for b in others)


def _written(cue: Cue, supports: Sequence[str]) -> Cue:
    """A cue as an answer writes it."""
    start, end = (None if value is None else round(value, 2) for value in (cue.start, cue.end))
    plain = {"start": start, "end": end, "supports": list(supports), "claim": None, "check": None}
    return cue.model_copy(update=plain)
