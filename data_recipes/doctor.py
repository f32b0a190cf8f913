"""`cuewise data doctor`: what is wrong with a file of rows, before a training run finds out.

Errors make training wrong or stop it (unreadable lines, duplicate ids, missing media, a speaker in two splits, times
outside the clip). Warnings are worth a look. Nothing is changed.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from cuewise.data_recipes.corpora import CORPORA, common_label
from cuewise.data_recipes.schema import Row
from cuewise.mllm.media.config import MediaConfig
from cuewise.mllm.media.errors import MediaError
from cuewise.mllm.media.load import load_media
from cuewise.mllm.report import split_labels

EXAMPLES = 3
MEDIA_SAMPLE = 20


@dataclass(slots=True)
class Finding:
    """One kind of trouble: how often, and the first few places."""

    message: str
    count: int = 0
    places: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        more = ", ..." if self.count > len(self.places) else ""
        return f"{self.message}: {self.count} ({', '.join(self.places)}{more})"


@dataclass(slots=True)
class DoctorReport:
    """What was found. `str()` is for people; `status` is 0 without errors."""

    path: Path
    rows: int = 0
    errors: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    """`split`, `label`, `corpus`, `language`, `media`, `speakers`: value -> number of rows (speakers per split)."""

    @property
    def status(self) -> int:
        """Exit status: 2 with errors, else 0."""
        return 2 if self.errors else 0

    def __str__(self) -> str:
        lines = [f"{self.path}: {self.rows} rows"]
        for name, counter in self.counts.items():
            if counter:
                listed = ", ".join(f"{value} {count}" for value, count in counter.most_common(12))
                rest = len(counter) - 12
                lines.append(f"  {name}: {listed}" + (f", and {rest} more" if rest > 0 else ""))
        lines += [f"  ERROR   {finding}" for finding in self.errors]
        lines += [f"  warning {finding}" for finding in self.warnings]
        lines.append(f"  {len(self.errors)} kinds of error, {len(self.warnings)} of warning")
        return "\n".join(lines)


def examine(rows_path: str | Path, root: str | Path | None = None, media_sample: int = MEDIA_SAMPLE) -> DoctorReport:
    """Examine a rows file; media paths are relative to `root`, by default the folder of the file.

    `media_sample` media files, spread evenly, are decoded.
    """
    path = Path(rows_path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file; give a file of rows (.jsonl)")
    found = _Findings()
    rows = _read(path, found)
    base = path.parent if root is None else Path(root)
    _ids(rows, found)
    _leaks(rows, found)
    for row in rows:
        _values(row, found)
    _media(rows, base, found, media_sample)
    report = DoctorReport(path, len(rows), found.sorted("errors"), found.sorted("warnings"), _counts(rows))
    if not rows:
        report.errors.append(Finding("no rows at all", 1, [path.name]))
    return report


class _Findings:
    """Collects places by kind of trouble."""

    def __init__(self) -> None:
        self.kinds: dict[str, dict[str, Finding]] = {"errors": {}, "warnings": {}}

    def add(self, severity: str, message: str, place: str) -> None:
        finding = self.kinds[severity].setdefault(message, Finding(message))
        finding.count += 1
        if len(finding.places) < EXAMPLES:
            finding.places.append(place)

    def error(self, message: str, place: str) -> None:
        self.add("errors", message, place)

    def warn(self, message: str, place: str) -> None:
        self.add("warnings", message, place)

    def sorted(self, severity: str) -> list[Finding]:
        return sorted(self.kinds[severity].values(), key=lambda finding: -finding.count)


def _read(path: Path, found: _Findings) -> list[Row]:
    rows = []
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                rows.append(Row.model_validate_json(line))
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(str(part) for part in first["loc"]) or "line"
                found.error(f"not a row: {where}: {first['msg']}", f"line {number}")
    return rows


def _ids(rows: list[Row], found: _Findings) -> None:
    for (corpus, key), count in Counter((row.corpus, row.id) for row in rows).items():
        if count > 1:
            found.error("id used more than once", f"{corpus} {key}")


def _leaks(rows: list[Row], found: _Findings) -> None:
    """A speaker, dialogue or text in two splits of its corpus."""
    seen: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for row in rows:
        if row.split is None:
            continue
        split_by = CORPORA[row.corpus].split_by if row.corpus in CORPORA else "speaker"
        if row.speaker and split_by == "speaker":
            seen["speaker", row.corpus, row.speaker].add(row.split)
        if row.dialogue:
            seen["dialogue", row.corpus, row.dialogue.id].add(row.split)
        if split_by == "text" and row.transcript:
            seen["text", row.corpus, row.transcript[:60]].add(row.split)
    for (what, _, name), splits in seen.items():
        if len(splits) > 1:
            message = f"{what} in more than one split"
            place = f"{name!r} in {' and '.join(sorted(splits))}"
            found.error(message, place) if what != "text" else found.warn(message, place)


def _values(row: Row, found: _Findings) -> None:
    """Everything about one row that the schema cannot say."""
    start, end = row.span or (0.0, float("inf"))
    if start < 0 or end <= start:
        found.error("span does not go forward in time", f"{row.id} {row.span}")
    for cue in row.cues:
        if (cue.start is None) != (cue.end is None):
            found.error("cue with only one of start and end", row.id)
        elif cue.start is not None and cue.end is not None and not 0 <= cue.start < cue.end:
            found.error("cue times do not go forward", f"{row.id} {cue.start}-{cue.end}")
        if "=>" in cue.observation or "\n" in cue.observation or not cue.observation.strip():
            found.error("cue observation cannot be written as a line", f"{row.id} {cue.observation!r}")
    times = [time for word in row.words for time in (word.start, word.end) if time is not None]
    if times != sorted(times):
        found.warn("word times out of order", row.id)
    for unit, value in row.aus.items():
        if not 0 <= value <= 5:
            found.error("action unit outside 0-5", f"{row.id} {unit} {value:g}")
    if any(count < 0 for votes in row.votes.values() for count in votes.values()):
        found.error("negative number of votes", row.id)
    if row.sentiment is not None and not -1 <= row.sentiment <= 1:
        found.warn("sentiment outside [-1, 1]", f"{row.id} {row.sentiment:g}")
    if row.labels and split_labels(", ".join(row.labels)) != row.labels:
        found.error("label that does not survive being written and read", f"{row.id} {row.labels}")
    for label in row.labels:
        if common_label(label) is None:
            found.warn("label without a common label", f"{row.id} {label!r}")
    if not row.media and not row.transcript and not row.context:
        found.error("neither media nor words", row.id)
    if not row.labels and row.valence is None and not row.frame_labels and row.statement is None and row.chosen is None:
        found.warn("nothing to learn: no label, no valence, no statement, no preference", row.id)


def _media(rows: list[Row], root: Path, found: _Findings, sample: int) -> None:
    present = []
    for row in rows:
        missing = [path for path in row.media.values() if not (root / path).is_file()]
        for path in missing:
            found.error(f"media file missing below {root}", path)
        if row.media and not missing:
            present.append(row)
    config = MediaConfig(num_frames=2, detector="none")
    for row in present[:: max(1, -(-len(present) // max(sample, 1)))] if sample else ():
        try:
            media = load_media(row.clip(root), config)
        except MediaError as error:
            found.error("media file cannot be read", f"{row.id}: {error}")
            continue
        for problem in media.problems:
            found.warn(f"media file is damaged ({problem.code})", row.id)
        late = [cue for cue in row.cues if cue.end is not None and cue.end > media.duration_s + 0.1]
        if late:
            found.error("cue ends after the clip", f"{row.id} {late[0].end:g} s of {media.duration_s:.2f} s")


def _counts(rows: list[Row]) -> dict[str, Counter[str]]:
    speakers = Counter()
    for split in {row.split for row in rows}:
        names = {(row.corpus, row.speaker) for row in rows if row.split == split and row.speaker}
        if names:
            speakers[split or "no split"] = len(names)
    return {
        "corpus": Counter(row.corpus for row in rows),
        "split": Counter(row.split or "no split" for row in rows),
        "label": Counter(label for row in rows for label in row.labels),
        "language": Counter(row.language for row in rows if row.language),
        "media": Counter("+".join(sorted(row.media)) or "none" for row in rows),
        "speakers": speakers,
    }
