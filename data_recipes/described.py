"""Descriptions of clips written by models and kept where independent readers agree; counts per rule, nothing silent.

* `describe`: one model sees, one hears, a third joins both with the words into a rationale for the *known* label and
  names what disagrees (MMEVerse, arXiv:2601.16449; MER-Caption of AffectGPT, arXiv:2501.16566, without a label).
* `filter_described`: rules of MER-Caption+: the visible person is not the speaker, the description is too short or too
  long; unimodal classifiers (a crowd) and the description's own emotion must agree. With `score` a judge's rating as
  well: Omni-Emotion's self-review (arXiv:2501.09502). What passes has the tier `reviewed`; a row goes when a system
  that describes it fails, or when none of its crowd votes.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cuewise.data_recipes.schema import Row
from cuewise.data_recipes.textualise import face_words
from cuewise.mllm.clip import Clip
from cuewise.mllm.report import parse
from cuewise.mllm.systems.base import Ask, Reply, System
from cuewise.mllm.taxonomy import same_core, sentiment

TIER = "reviewed"
MIN_CHARS, MAX_CHARS = 200, 600
REPLY_TOKENS = 256

Say = Callable[[str], str]
"""Prompt -> text, of whatever model."""

SEE = "Describe the person's face, posture and surroundings in this clip, without naming an emotion."
HEAR = "Describe the person's voice in this clip: pitch, loudness, speed, pauses, without naming an emotion."


@dataclass(frozen=True, slots=True)
class Described:
    """A row with what was written about its clip, and what independent readers say."""

    row: Row
    text: str
    same_person: bool | None = None
    """Whether the visible person speaks; None where nobody looked."""

    crowd: Mapping[str, str | None] = field(default_factory=dict)
    """Reader -> emotion word or sentiment, None where it was asked but has no vote; empty where there is no crowd."""

    failed: str | None = None
    """Which system gave no part of the description: `see`, `hear` or `join`."""

    stated: str | None = None
    """The emotion that the description itself names, read by somebody else; the row's label without."""

    score: float | None = None
    """Rating of a judge in [0, 1]."""


@dataclass(slots=True)
class FilterReport:
    """What was kept, and why the rest was not."""

    kept: list[Row] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    """Rule -> rows; a row counts for the first rule that drops it."""

    def __str__(self) -> str:
        rules = ", ".join(f"{rule} {count}" for rule, count in self.dropped.most_common())
        return f"kept {len(self.kept)} rows, dropped {sum(self.dropped.values())} ({rules or 'none'})"


def describe(row: Row, see: Say, hear: Say, join: Say) -> str:
    """A rationale for one clip.

    Args:
        see, hear: models that have the clip's pictures and its sound before them.
        join: a text model; it is shown what was seen, heard and said, the measured face actions, and the known label.
    """
    parts = [f"Seen: {see(SEE).strip()}", f"Heard: {hear(HEAR).strip()}"]
    if row.aus:
        parts.append(f"Measured: {face_words(row.aus)}")
    if row.transcript:
        parts.append(f'Said: "{" ".join(row.transcript.split())}"')
    task = "Join this into one description of the person's emotion, cues first, the emotion last."
    if row.labels:
        task = (f"The person is known to feel {', '.join(row.labels)}. Join this into one explanation of exactly that, "
                "cues first; where a channel points elsewhere, say so.")  # fmt: skip
    return join("\n".join([*parts, task])).strip()


def described(
    rows: Iterable[Row], root: str | Path, see: System, hear: System, join: System, crowd: Mapping[str, System]
) -> Iterator[Described]:
    """Each row with media, described by these systems and read by the crowd.

    Args:
        root: folder that media paths are relative to.
        crowd: reader -> system; the first label of its direct answer is its vote. One that fails, or names no label,
            has none.
    """
    for row in rows:
        if not row.media:
            continue
        clip = row.clip(root)
        try:
            text = describe(row, _sayer("see", see, clip), _sayer("hear", hear, clip), _sayer("join", join, None))
        except SystemFailedError as error:
            yield Described(row, "", failed=str(error))
            continue
        yield Described(row, text, crowd={name: _vote(system, clip) for name, system in crowd.items()})


class SystemFailedError(Exception):
    """A system has no answer; the message is its part: `see`, `hear` or `join`."""


def _sayer(part: str, system: System, clip: Clip | None) -> Say:
    def say(prompt: str) -> str:
        reply = _reply(system, clip, prompt)
        if reply.error is not None:
            raise SystemFailedError(part)
        return reply.text

    return say


def _vote(system: System, clip: Clip) -> str | None:
    reply = _reply(system, clip, None)
    labels = [] if reply.error is not None else parse(reply.text).labels
    return labels[0] if labels else None


def _reply(system: System, clip: Clip | None, prompt: str | None) -> Reply:
    asked = Ask(id="described", clip=clip, prompt=prompt, form="direct", max_tokens=REPLY_TOKENS)
    return next(iter(system.answer([asked])))


def peak_frame(frames: Sequence[Mapping[str, float]], units: Sequence[str] | None = None) -> int:
    """The frame whose face actions are strongest in sum, of the named `units` or of all; the first of several."""
    if not frames:
        raise ValueError("the peak of no frames is not defined")
    totals = [sum(value for unit, value in frame.items() if units is None or unit in units) for frame in frames]
    return max(range(len(frames)), key=lambda place: (totals[place], -place))


def filter_described(
    items: Iterable[Described], *, min_chars: int = MIN_CHARS, max_chars: int = MAX_CHARS, agree: float = 0.5,
    min_score: float | None = None,
) -> FilterReport:  # fmt: skip
    """Rows whose description passes every rule, with it as their reasoning.

    Args:
        agree: least share of the crowd's votes whose sentiment is that of the description; 0 asks nobody. Where there
            is a crowd but none of it voted, the row goes.
        min_score: least rating; an item without one is dropped.
    """
    report = FilterReport()
    for item in items:
        rule = _broken_rule(item, min_chars, max_chars, agree, min_score)
        if rule is not None:
            report.dropped[rule] += 1
            continue
        report.kept.append(item.row.model_copy(update={"reasoning": " ".join(item.text.split()), "tier": TIER}))
    return report


def _broken_rule(
    item: Described, min_chars: int, max_chars: int, agree: float, min_score: float | None
) -> str | None:  # fmt: skip
    length = len(" ".join(item.text.split()))
    if item.failed is not None:
        return f"`{item.failed}` failed"
    if item.same_person is False:
        return "another person speaks"
    if length < min_chars:
        return "too short"
    if length > max_chars:
        return "too long"
    if agree and item.crowd and all(vote is None for vote in item.crowd.values()):
        return "nobody of the crowd voted"
    if agree and item.crowd and _agreement(item) < agree:
        return "the crowd disagrees"
    stated = item.stated
    if stated is not None and item.row.labels and not any(same_core(stated, label) for label in item.row.labels):
        return "names another emotion"
    if min_score is not None and (item.score is None or item.score < min_score):
        return "low rating"
    return None


def _agreement(item: Described) -> float:
    """Share of the votes that have the sentiment of the description, by its stated emotion or the row's label."""
    word = item.stated or (item.row.labels[0] if item.row.labels else None)
    own = _sentiment(word)
    votes = [_sentiment(said) for said in item.crowd.values() if said is not None]
    return sum(vote == own for vote in votes) / len(votes)


def _sentiment(word: str | None) -> str | None:
    return word if word in ("positive", "negative", "neutral", None) else sentiment(word)
