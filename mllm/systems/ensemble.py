"""Several systems as one: their class probabilities mixed with a weight per class and system (Team RAS, ABAW 9).

    members: [nano, nano-research]
    weights: {happy: [0.3, 0.7], sad: [0.5, 0.5]}     # one per member; classes that are not named weigh equally

`cuewise eval SUITE --system ensemble.yaml` runs it; `cuewise.eval.fusing.fit_ensemble` finds the weights on validation
runs of the members and writes the file.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from cuewise.mllm.config_tools import from_dict, load_yaml
from cuewise.mllm.late_fusion import fuse
from cuewise.mllm.report import Emotion
from cuewise.mllm.systems.base import Ask, Reply, System, SystemLoadError, load_system
from cuewise.mllm.taxonomy import LABELS, nearest_common

BATCH = 16


@dataclass(kw_only=True, slots=True)
class EnsembleConfig:
    members: list[str]
    """What `load_system` takes, two or more."""

    weights: dict[str, list[float]] = field(default_factory=dict)
    """Class -> weight of each member; they are brought to a sum of one."""

    def __post_init__(self) -> None:
        if len(self.members) < 2:
            raise ValueError(f"members must name two systems or more, got {self.members}")
        for label, given in self.weights.items():
            if label not in LABELS:
                raise ValueError(f"weights: unknown class `{label}`; classes are {', '.join(LABELS)}")
            if len(given) != len(self.members) or min(given) < 0 or not sum(given):
                raise ValueError(f"weights.{label} must hold {len(self.members)} numbers >= 0, one per member, at "
                                 f"least one of them > 0, got {given}")  # fmt: skip

    def matrix(self) -> np.ndarray:
        """[M, C], each class summing to one."""
        rows = np.array([self.weights.get(label, [1.0] * len(self.members)) for label in LABELS], dtype=float)
        return (rows / rows.sum(1, keepdims=True)).T


class EnsembleSystem:
    """Asks all members the same and mixes what they say."""

    def __init__(self, members: list[System], config: EnsembleConfig):
        self.members, self.config, self.weights = members, config, config.matrix()
        self.name = "+".join(member.name for member in members)

    @classmethod
    def load(cls, path: str | Path, **options: Any) -> "EnsembleSystem":
        """From a YAML file; `options` go to every member. Raises SystemLoadError."""
        try:
            config = from_dict(EnsembleConfig, load_yaml(path))
        except ValueError as error:
            raise SystemLoadError(f"{path}: {error}") from error
        members: list[System] = []
        try:
            members += (load_system(name, **options) for name in config.members)
        except SystemLoadError:
            for member in members:
                member.close()
            raise
        return cls(members, config)

    def describe(self) -> dict[str, Any]:
        return {"kind": "ensemble", "model": self.name, "members": [member.describe() for member in self.members],
                "weights": self.config.weights}  # fmt: skip

    def answer(self, asks: Iterable[Ask]) -> Iterator[Reply]:
        """Replies in order; an ask that a member cannot answer is an error."""
        waiting = iter(asks)
        while some := list(islice(waiting, BATCH)):
            for replies in zip(*(list(member.answer(some)) for member in self.members), strict=True):
                yield self._mixed(replies)

    def _mixed(self, replies: tuple[Reply, ...]) -> Reply:
        failed = next((reply for reply in replies if reply.error is not None), None)
        if failed is not None:
            return failed
        mixed = fuse(np.array([[shares_of(reply)] for reply in replies]), self.weights)[0]
        shares = {label: round(float(share), 6) for label, share in zip(LABELS, mixed)}
        best = max(shares, key=shares.get)
        text = f"<answer>{best}</answer>"
        report = next((reply.report for reply in replies if reply.report is not None), None)
        if report is not None:
            report = report.model_copy(update={
                "model": self.name, "distribution": shares, "confidence": shares[best], "text": text,
                "emotions": [Emotion(label=best, score=shares[best], score_kind="class_head")],
            })  # fmt: skip
        usage = {key: sum(reply.usage.get(key, 0) for reply in replies) for key in replies[0].usage}
        return Reply(id=replies[0].id, text=text, prompt=replies[0].prompt, report=report, usage=usage,
                     finish_reason=replies[0].finish_reason)  # fmt: skip

    def close(self) -> None:
        for member in self.members:
            member.close()


def shares_of(reply: Reply) -> list[float]:
    """Probabilities of the common labels: those of a report, else equal shares of the labels that are named."""
    if reply.report is not None and reply.report.distribution:
        given = {label: float(reply.report.distribution.get(label, 0.0)) for label in LABELS}
    else:
        from cuewise.mllm.report import parse

        named = [common for label in parse(reply.text).labels if (common := nearest_common(label))]
        given = {label: float(named.count(label)) for label in LABELS}
    total = sum(given.values())
    return [share / total if total else 1 / len(LABELS) for share in given.values()]
