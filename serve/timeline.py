"""A long clip as a timeline: overlapping windows, each analyzed alone, smoothed into segments that follow each other.

Windows of `window_s` begin every `hop_s`; segment k is the k-th `hop_s` of the clip. Its distribution, valence and
arousal are the mean over the windows that cover it, weighted by how near the middle of the window is: 1 at the same
place, falling to 0 half a window away. The words of the answer (`emotions`, `conflict`, `unsure`) are those of the
nearest window, and each cue is told once, by the window whose middle is nearest to it.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from cuewise.mllm.report import Cue, EmotionReport
from cuewise.serve.errors import ApiError
from cuewise.serve.job import Job
from cuewise.serve.service import Backend

AHEAD = 3
"""Windows being worked on at once."""

TOLERANCE_S = 0.3
"""A window that ends this much before its time was the last one."""

MAX_CRUMB_S = 0.1
"""What is left behind a segment at the end of the clip joins it when it is shorter than this."""

MIN_WINDOW_S = 0.5
MAX_GAPS = 3
"""Windows in a row that may be unreadable before the timeline is given up."""


@dataclass(slots=True)
class Plan:
    """Where the windows lie; seconds from the begin of the file."""

    window_s: float
    hop_s: float
    start: float = 0.0
    end: float | None = None
    limit_s: float = 1800.0

    def windows(self) -> Iterator[tuple[int, float, float]]:
        """(number, begin, end) of each window as long as the clip may be."""
        number, last = 0, self.start + self.limit_s
        while (begin := self.start + number * self.hop_s) < min(last, float("inf") if self.end is None else self.end):
            yield number, begin, min(begin + self.window_s, last if self.end is None else self.end)
            number += 1


@dataclass(slots=True)
class Seen:
    """The report of one window, in seconds of the file."""

    number: int
    begin: float
    end: float
    report: EmotionReport

    @property
    def middle(self) -> float:
        return (self.begin + self.end) / 2


@dataclass(slots=True)
class Smoother:
    """Collects windows in order and gives out the segments that no later window can change."""

    plan: Plan
    windows: deque[Seen] = field(default_factory=deque)
    next_segment: int = 0
    told_until: float = -1.0

    def add(self, seen: Seen) -> Iterator[dict[str, Any]]:
        """Take the next window; segments that are complete now."""
        self.windows.append(seen)
        while len(self.windows) > 2 + 2 * self.plan.window_s / self.plan.hop_s:
            self.windows.popleft()
        yield from self._until(self.plan.start + (seen.number + 1) * self.plan.hop_s)

    def finish(self) -> Iterator[dict[str, Any]]:
        """The segments behind the last window's first hop."""
        if self.windows:
            yield from self._until(self.windows[-1].end, last=True)

    def _until(self, time: float, last: bool = False) -> Iterator[dict[str, Any]]:
        reached = max(seen.end for seen in self.windows)
        crumb = min(MAX_CRUMB_S, (self.plan.window_s - self.plan.hop_s) / 2)
        while True:
            begin = self.plan.start + self.next_segment * self.plan.hop_s
            end = min(begin + self.plan.hop_s, reached)
            if end - begin < 1e-6 or self.told_until > end - 1e-6 or (end > time + 1e-6 and not last):
                return
            end = reached if reached - end < crumb else end
            self.told_until = end
            found = segment(self.next_segment, begin, end, list(self.windows))
            self.next_segment += 1
            if found is not None:
                yield found


def segment(number: int, begin: float, end: float, windows: list[Seen]) -> dict[str, Any] | None:
    """One segment from the windows around it; None where no window could be read."""
    middle = (begin + end) / 2
    near = [seen for seen in windows if seen.begin < end and seen.end > begin]
    if not near:
        return None
    weights = [max(1e-3, 1 - abs(seen.middle - middle) / max(1e-6, (seen.end - seen.begin) / 2)) for seen in near]
    nearest = min(near, key=lambda seen: abs(seen.middle - middle))
    distribution = _mean([seen.report.distribution for seen in near], weights)
    return {
        "type": "segment", "index": number, "start": round(begin, 3), "end": round(end, 3),
        "label": max(distribution, key=distribution.get) if distribution else None,
        "emotions": [emotion.model_dump() for emotion in nearest.report.emotions],
        "distribution": distribution,
        "valence": _mean_of([seen.report.valence for seen in near], weights),
        "arousal": _mean_of([seen.report.arousal for seen in near], weights),
        "confidence": nearest.report.confidence, "unsure": nearest.report.unsure,
        "conflict": nearest.report.agreement.conflict, "windows": [seen.number for seen in near],
        "cues": [cue.model_dump(mode="json") for cue in _cues(begin, end, windows)],
    }  # fmt: skip


def _cues(begin: float, end: float, windows: list[Seen]) -> list[Cue]:
    """Cues whose middle lies in [begin, end), in seconds of the file, each from the window nearest to it."""
    found = []
    for seen in windows:
        for cue in seen.report.cues:
            if cue.start is None or cue.end is None:
                continue
            middle = seen.begin + (cue.start + cue.end) / 2
            nearest = min(windows, key=lambda other: abs(other.middle - middle))
            if begin <= middle < end and nearest is seen:
                found.append(cue.model_copy(update={"start": round(seen.begin + cue.start, 3),
                                                    "end": round(seen.begin + cue.end, 3)}))  # fmt: skip
    return sorted(found, key=lambda cue: cue.start)


async def timeline(backend: Backend, job: Job, plan: Plan) -> AsyncIterator[dict[str, Any]]:
    """Events of a timeline: `window` with its report, `segment`, `gap`, and `end`. Raises ApiError."""
    smoother, gaps, windows, segments = Smoother(plan), 0, 0, 0
    reached = plan.start
    async for number, begin, end, result in _reports(backend, job, plan):
        if isinstance(result, ApiError):
            gaps += 1
            if number == 0 or gaps > MAX_GAPS or not result.code.startswith("media_"):
                raise result
            yield {"type": "gap", "index": number, "start": begin, "end": end, "error": result.body()["error"]}
            continue
        gaps, windows = 0, windows + 1
        reached = begin + (result.duration or end - begin)
        yield {"type": "window", "index": number, "start": begin, "end": reached, "report": result}
        for found in smoother.add(Seen(number, begin, reached, result)):
            segments += 1
            yield found
    for found in smoother.finish():
        segments += 1
        yield found
    yield {"type": "end", "start": plan.start, "end": round(reached, 3), "windows": windows, "segments": segments,
           "window_s": plan.window_s, "hop_s": plan.hop_s}  # fmt: skip


async def _reports(
    backend: Backend, job: Job, plan: Plan
) -> AsyncIterator[tuple[int, float, float, EmotionReport | ApiError]]:
    """The report or refusal of each window in order, some windows ahead; ends with the clip."""
    waiting: deque[tuple[int, float, float, asyncio.Task]] = deque()
    planned = plan.windows()
    try:
        while True:
            while len(waiting) < AHEAD and (window := next(planned, None)) is not None:
                number, begin, end = window
                own = replace(job, id=f"{job.id}-{number}", clip=replace(job.clip, start=begin, end=end), cache=False,
                              waited_s=0.0)  # fmt: skip
                waiting.append((number, begin, end, asyncio.ensure_future(backend.answer(own))))
            if not waiting:
                return
            number, begin, end, task = waiting.popleft()
            try:
                report = (await task).report
            except ApiError as error:
                if error.code == "media_bad_span" and number:
                    return
                yield number, begin, end, error
                continue
            length = report.duration or 0.0
            if number and length < MIN_WINDOW_S:
                return
            yield number, begin, end, report
            if length < end - begin - TOLERANCE_S:
                return
    finally:
        for *_, task in waiting:
            task.cancel()
        await asyncio.gather(*(task for *_, task in waiting), return_exceptions=True)


def _mean(shares: list[dict[str, float]], weights: list[float]) -> dict[str, float]:
    pairs = [(share, weight) for share, weight in zip(shares, weights) if share]
    total = sum(weight for _, weight in pairs)
    labels = dict.fromkeys(label for share, _ in pairs for label in share)
    return {label: round(sum(s.get(label, 0.0) * w for s, w in pairs) / total, 6) for label in labels}


def _mean_of(values: list[float | None], weights: list[float]) -> float | None:
    pairs = [(value, weight) for value, weight in zip(values, weights) if value is not None]
    return round(sum(v * w for v, w in pairs) / sum(w for _, w in pairs), 4) if pairs else None
