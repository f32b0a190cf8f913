"""Rows -> the answers a model is trained to write. Text is made by the one `render` of `cuewise.mllm.report`.

    text = render(target(row, "explained", channels=["voice", "words"]))

Only what the given channels show is explained: without the face, a conflict clip has the emotion of its voice. The
cues of a synthetic clip are known; those of a real clip are what was measured in it and speaks for its label in the
emotion table (`observed_cues`). Cues stand in the order face, scene, voice, words, the conclusion last.
"""

import re
import zlib
from collections.abc import Collection, Iterable
from typing import Literal

import numpy as np

from cuewise.data_recipes.corpora.labels import common_label
from cuewise.data_recipes.schema import Row
from cuewise.data_recipes.synthetic.conflict import WORDS_STRENGTH, Carried, final, reasoning
from cuewise.data_recipes.synthetic.emotions import supported_labels
from cuewise.mllm.evidence.check import check_cue
from cuewise.mllm.evidence.claims import DEGREES, direction, phrase, read_claim, vocabulary
from cuewise.mllm.evidence.observe import observe
from cuewise.mllm.evidence.types import Measurements
from cuewise.mllm.report import Channel, Claim, Cue, ParsedAnswer

ORDER: tuple[Channel, ...] = ("face", "scene", "voice", "words")
MAX_OBSERVED = 3
"""Measured cues of a real clip that its target names, over all channels."""

WHOLE_BELOW_S = 5.0
"""Real clips shorter than this are described as a whole: one utterance seldom leaves 2 s of rest to compare with."""

QUOTE_WORDS = 8
"""Longest quotation, in words."""

_CLAUSE = re.compile(r"[^.!?,;:…\n()\"“”]+")
_EVEN = (("pitch", "steady"), ("loudness", "steady"))
_FACING = (("head", "toward"), ("gaze", "toward"))


def target(
    row: Row, form: Literal["explained", "direct"] = "explained", channels: Collection[str] | None = None,
    confidence: float | None = None,
) -> ParsedAnswer:  # fmt: skip
    """The answer for a row, in one of the two trained forms.

    Args:
        channels: what the model is shown (face, scene, voice, words); everything by default.
        confidence: written when given.

    An explained answer needs a cue; where the channels show none, the answer is direct.
    """
    if form not in ("explained", "direct"):
        raise ValueError(f"form must be explained or direct, got {form!r}")
    if not row.labels:
        raise ValueError(f"row {row.id!r} has no labels, so there is no answer to train on")
    shown = set(ORDER if channels is None else channels)
    cues = [_plain(cue) for cue in _ordered(row_cues(row)) if cue.channel in shown]
    labels, carried = _conclusion(row, cues, shown)
    if not cues and "words" in shown and row.transcript and labels[0] == "neutral":
        cues = [_plain(cue) for cue in word_cues(row.transcript, labels)]
    if form == "direct" or not cues:
        return ParsedAnswer(form="direct", labels=labels, confidence=confidence)
    text = row.reasoning if labels == row.labels and _complete(row, shown) else None
    return ParsedAnswer(form="explained", labels=labels, cues=cues, confidence=confidence,
                        reasoning=text or _reasoning(row, labels, cues, carried))  # fmt: skip


def target_from_measurements(row: Row, measurements: Measurements) -> ParsedAnswer:
    """The explained answer for a real clip, with the cues that were measured in it."""
    return target(row.model_copy(update={"cues": observed_cues(row, measurements)}))


def shown_part(row: Row, shown: Collection[str]) -> Row:
    """A row as it is held against answers to some of its streams: what these say by themselves.

    Cues, votes and measured actions of the other channels are forgotten, and so are the written reasoning and, where
    what is left concludes another label, what was said of the whole clip. The row itself where all that it speaks of is
    shown.
    """
    hidden = (labelled_channels(row) | {cue.channel for cue in row.cues}) - {*shown}
    if not hidden:
        return row
    labels = target(row, "direct", shown).labels if row.labels else row.labels
    whole = labels == row.labels
    votes = {name: votes for name, votes in row.votes.items() if (whole if name == "all" else name not in hidden)}
    return row.model_copy(update={
        "labels": labels, "votes": votes, "cues": [cue for cue in row.cues if cue.channel not in hidden],
        "aus": {} if "face" in hidden else row.aus, "reasoning": None,
        **({} if whole else dict.fromkeys(("valence", "arousal", "dominance", "sentiment"))),
    })  # fmt: skip


def observed_cues(row: Row, measurements: Measurements) -> list[Cue]:
    """At most `MAX_OBSERVED` measured cues of a real clip, each supported by the measurement.

    A cue supports the row's label where the emotion table says so, else nothing. Cues that speak for the label come
    first; an even voice and a face turned to the camera are named only for neutral and calm.
    """
    label = common_label(row.labels[0]) if row.labels else None
    found: list[Cue] = []
    for channel in ("face", "voice"):
        if measurements.of(channel) is not None:
            found += observe(measurements, channel, [None] if measurements.duration_s < WHOLE_BELOW_S else None)
            found += _plain_facts(channel, label, measurements)
    supporting, other = [], []
    for cue in found:
        claim = cue.claim or read_claim(cue.channel, cue.observation)
        speaks_for = supported_labels(cue.channel, claim.attribute, claim.direction)
        if label in speaks_for:
            supporting.append(cue.model_copy(update={"supports": [row.labels[0]]}))
        elif not speaks_for:
            other.append(cue)
    chosen = supporting[:MAX_OBSERVED] or other[:1]
    return _ordered(chosen)


def row_cues(row: Row) -> list[Cue]:
    """The cues a row carries: those written in it, else those of its measured action units, else a quotation.

    A quotation stands for texts without any media, whose emotion is in the words.
    """
    if row.cues:
        return list(row.cues)
    if row.aus:
        return action_cues(row)
    if not row.media and row.transcript and not row.votes.keys() - {"words", "all"} and row.labels:
        return word_cues(row.transcript, row.labels)
    return []


def action_cues(row: Row) -> list[Cue]:
    """Cues for measured mean action units that speak for the row's label; the strongest when none does."""
    label = common_label(row.labels[0]) if row.labels else None
    cues: list[tuple[bool, float, Cue]] = []
    for attribute, name in vocabulary("face"):
        meaning = direction("face", Claim(attribute=attribute, direction=name))
        value = max((row.aus.get(quantity, 0.0) for quantity in meaning.quantities), default=0.0)
        reached = [degree for degree in DEGREES if value >= meaning.threshold(degree)]
        if not meaning.quantities[0].startswith("AU") or not reached:
            continue
        claim = Claim(attribute=attribute, direction=name, degree=reached[-1])
        speaks = label in supported_labels("face", attribute, name)
        cue = Cue(
            channel="face", observation=phrase("face", claim), supports=row.labels[:1] if speaks else [], claim=claim
        )
        cues.append((speaks, value, cue))
    cues.sort(key=lambda item: (not item[0], -item[1]))
    chosen = [cue for speaks, _, cue in cues if speaks][:MAX_OBSERVED]
    return chosen or [cue for _, _, cue in cues[:1]]


def word_cues(transcript: str, labels: list[str]) -> list[Cue]:
    """One quotation for the first label: the clause with a word of that emotion, else the clause that says most.

    >>> [cue.observation for cue in word_cues("Well, I am so happy today. See you.", ["joy"])]
    ['"I am so happy today"']
    """
    clauses = [_shortened(words) for words in (clause.split() for clause in _CLAUSE.findall(transcript)) if words]
    if not clauses or not labels:
        return []
    wanted = common_label(labels[0])
    best = max(clauses, key=lambda words: (_speaks(words, wanted), min(len(words), 4)))
    quote = " ".join(best).strip("'’‘ -–—")
    if not re.search(r"\w", quote):
        return []
    claim = Claim(attribute="quote", direction="present")
    return [Cue(channel="words", observation=phrase("words", claim, quote=quote), supports=labels[:1], claim=claim)]


def _shortened(words: list[str]) -> list[str]:
    """At most `QUOTE_WORDS` words, around the most telling one."""
    if len(words) <= QUOTE_WORDS:
        return words
    telling = next((i for i, word in enumerate(words) if _label_of(word) not in (None, "neutral")), 0)
    start = max(0, min(telling - QUOTE_WORDS // 2, len(words) - QUOTE_WORDS))
    return words[start : start + QUOTE_WORDS]


def _speaks(words: list[str], wanted: str | None) -> bool:
    return wanted not in (None, "neutral") and any(_label_of(word) == wanted for word in words)


def _label_of(word: str) -> str | None:
    return common_label(re.sub(r"[^\w'-]", "", word).lower())


def _conclusion(row: Row, cues: list[Cue], shown: set[str]) -> tuple[list[str], list[Carried]]:
    """Labels by what is shown, and what each shown channel carries.

    A channel carries the label that was voted for it alone, else the label of the row; among channels that differ the
    rule of the synthetic corpus decides.
    """
    carried = []
    for channel in ("face", "voice", "words"):
        if channel not in shown or channel not in labelled_channels(row):
            continue
        votes = row.votes.get(channel)
        label = max(votes, key=lambda name: votes[name]) if votes else row.labels[0]
        degrees = [_strength(cue) for cue in cues if cue.channel == channel and label in cue.supports]
        carried.append(Carried(channel, label, 0 if label == "neutral" else max(degrees, default=0)))
    if not carried:
        return list(row.labels), []
    label = final(carried).label
    return list(row.labels) if label == row.labels[0] else [label], carried


def labelled_channels(row: Row) -> set[str]:
    """Channels that a row's labels speak of: those voted for one by one, and those of its media and words."""
    channels = {*row.votes} - {"all"}
    if {"video", "image"} & row.media.keys() or row.aus:
        channels.add("face")
    if {"video", "audio"} & row.media.keys():
        channels.add("voice")
    if row.transcript:
        channels.add("words")
    return channels


def _strength(cue: Cue) -> int:
    claim = read_claim(cue.channel, cue.observation)
    return WORDS_STRENGTH if claim is None or cue.channel == "words" else DEGREES.index(claim.degree) + 1


def _reasoning(row: Row, labels: list[str], cues: list[Cue], carried: list[Carried]) -> str:
    """A sentence for the shown channels, always the same for one row and selection."""
    winner = final(carried) if carried else None
    if winner is not None and (winner.strength or winner.label == "neutral"):
        rng = np.random.default_rng(zlib.crc32(f"{row.id} {' '.join(one.channel for one in carried)}".encode()))
        return reasoning(rng, carried, winner)
    names = list(dict.fromkeys(cue.channel for cue in cues))
    return f"The cues in the {' and '.join(names)} are weak, but {labels[0]} fits best."


def _complete(row: Row, shown: set[str]) -> bool:
    """Whether every channel the row was labelled by, and every cue, is shown."""
    return {*row.votes} - {"all"} | {cue.channel for cue in row.cues} <= shown


def _plain_facts(channel: Channel, label: str | None, measurements: Measurements) -> list[Cue]:
    """What is true of most clips and speaks for neutral and calm, where the measurement supports it."""
    if label not in ("neutral", "calm"):
        return []
    facts = []
    for attribute, name in _EVEN if channel == "voice" else _FACING:
        claim = Claim(attribute=attribute, direction=name)
        cue = check_cue(Cue(channel=channel, observation=phrase(channel, claim)), measurements)
        if cue.check is not None and cue.check.verdict == "supported":
            facts.append(cue)
    return facts


def _ordered(cues: Iterable[Cue]) -> list[Cue]:
    return sorted(cues, key=lambda cue: (ORDER.index(cue.channel), -1.0 if cue.start is None else cue.start))


def _plain(cue: Cue) -> Cue:
    """The cue as its line of text can carry it: times to 10 ms, no claim, no check."""
    times = {
        name: None if value is None else round(value, 2) for name, value in (("start", cue.start), ("end", cue.end))
    }
    return cue.model_copy(update={**times, "claim": None, "check": None})
