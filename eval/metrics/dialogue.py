"""Dialogue difficulty (PRC-Emo): how often, and how subtly, emotions shift in a conversation. Orders a curriculum."""

from collections.abc import Sequence

from cuewise.mllm.taxonomy import circumplex_similarity

from .base import MetricInputError


def dialogue_difficulty(
    speakers: Sequence[str], emotions: Sequence[str], labels: int = 7, k: float = 1.0, b: float = 0.4,
    cross_needs_shift: bool = True,
) -> float:  # fmt: skip
    """Sum of weighted shifts plus speakers, divided by utterances plus speakers; higher is harder.

    A same-speaker shift joins consecutive turns *of one speaker* with different emotions, a cross-speaker shift
    adjacent turns of different speakers. Similar emotions weigh more (``k * similarity + b``): they are harder to tell
    apart. The released program wants cross-speaker emotions to differ (`cross_needs_shift`), the paper does not.

    >>> round(dialogue_difficulty("ABAB", ["joy", "anger", "anger", "anger"]), 4)
    0.4667
    """
    if len(speakers) != len(emotions) or not speakers:
        raise MetricInputError(f"{len(speakers)} speakers but {len(emotions)} emotions; give one of each per utterance")

    def weight(one: str, other: str) -> float:
        similarity = circumplex_similarity(one, other, labels)
        if similarity is None:
            raise MetricInputError(f"no place on the circumplex for {one!r} or {other!r}")
        return k * similarity + b

    last: dict[str, str] = {}
    total = 0.0
    for turn, (speaker, emotion) in enumerate(zip(speakers, emotions)):
        if speaker in last and last[speaker] != emotion:
            total += weight(last[speaker], emotion)
        last[speaker] = emotion
        if turn and speakers[turn - 1] != speaker and (emotions[turn - 1] != emotion or not cross_needs_shift):
            total += weight(emotions[turn - 1], emotion)
    return (total + len(last)) / (len(speakers) + len(last))
