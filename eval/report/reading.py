"""Samples to read: what was asked, answered and true, the scores of the sample, and how its cues held up."""

import json
from collections.abc import Sequence
from typing import Any

from cuewise.eval.metrics.base import plain

from .markup import Markup, tag
from .results import Results
from .samples import SampleRecord
from .sections import folded, section, table
from .tables import clipped, plain_number, worst_samples

MOST_CUES = 6
VERDICT_WORD = {"supported": "supported", "contradicted": "contradicted", "not_measurable": "not measurable"}


def worst(results: Results, records: Sequence[SampleRecord] | None) -> Markup:
    """The samples that scored worst, the surest mistakes first."""
    if records is None:
        why = "not applicable: the samples table of this run was not given"
        return section("worst", "Worst samples", tag("p", why, class_="card soft"))
    found = worst_samples(results, records)
    if not found.records:
        why = f"No sample scored below the best value of {found.metric} (n {found.n:,})."
        return section("worst", "Worst samples", tag("p", why, class_="card soft"))
    lead = f"{len(found.records)} of n {found.n:,} scored samples: {found.rule}. samples.parquet holds all of them."
    cards = [sample(record, found.metric, opened=index < 2) for index, record in enumerate(found.records)]
    return section("worst", "Worst samples", tag("p", lead, class_="soft lead"), *cards)


def sample(record: SampleRecord, metric: str, opened: bool = False) -> Markup:
    """One sample as a card to open; the line that stays visible says truth, answer, and the score."""
    sure = "no confidence stated" if record.confidence is None else f"confidence {record.confidence:.2f}"
    head = tag(
        "summary", tag("span", record.id, class_="sample-id"),
        tag("span", tag("small", "gold "), tag("b", truth_line(record.gt)), class_="pair"),
        tag("span", tag("small", "answered "), tag("b", sample_line(record)[1]), class_="pair"),
        tag("span", f"{metric} {plain_number(record.score(metric))}; {sure}", class_="soft"),
    )  # fmt: skip
    scores = ", ".join(f"{name} {plain_number(value)}" for name, value in record.scores.items())
    groups = ", ".join(f"{name} {value}" for name, value in record.groups.items() if value is not None)
    facts = [("Scores of this sample (n 1)", scores), ("Groups", groups),
             ("Problems", ", ".join(map(str, record.parsed.get("problems") or ()))),
             ("Error", record.error or ""), ("Ended by", record.finish_reason or "")]  # fmt: skip
    lines = [tag("div", tag("dt", name), tag("dd", words)) for name, words in facts if words]
    return tag(
        "details", head, tag("p", "Answer", class_="kicker"), tag("pre", clipped(record.text) or "(empty)", tabindex=0),
        tag("dl", *lines, class_="facts"), _cues(record),
        folded("Prompt", tag("pre", clipped(record.prompt) or "(none)", class_="prompt", tabindex=0)),
        class_="card sample", open=opened,
    )  # fmt: skip


def sample_line(record: SampleRecord) -> tuple[str, str]:
    """Truth and answer of a sample, each in one line."""
    answered = ", ".join(record.labels) or (record.error or "nothing readable")
    return truth_line(record.gt), clipped(answered, 200)


def truth_line(gt: Any) -> str:
    """A ground truth in one line."""
    if isinstance(gt, str):
        return clipped(gt, 200)
    if isinstance(gt, (list, tuple)) and all(isinstance(item, str) for item in gt):
        return clipped(", ".join(gt) or "(none)", 200)
    if isinstance(gt, dict) and isinstance(gt.get("labels"), list):
        rest = [f"{key} {value}" for key, value in gt.items() if key != "labels" and isinstance(value, str)]
        return clipped(", ".join(map(str, gt["labels"])) + (f" ({', '.join(rest)})" if rest else ""), 200)
    return clipped(json.dumps(plain(gt), ensure_ascii=False), 200)


def _cues(record: SampleRecord) -> Markup | None:
    """The cues of the answer with what the measurements said about them."""
    cues = [cue for cue in record.parsed.get("cues") or () if isinstance(cue, dict)]
    if not cues:
        return None
    rows, classes = [], []
    for cue in cues[:MOST_CUES]:
        check = cue.get("check") if isinstance(cue.get("check"), dict) else {}
        verdict = VERDICT_WORD.get(check.get("verdict"), "nothing to check")
        classes.append(f"verdict {check['verdict']}" if check.get("verdict") in VERDICT_WORD else "")
        rows.append((str(cue.get("channel", "")), clipped(str(cue.get("observation", "")), 200), verdict,
                     clipped(str(check.get("why") or ""), 160)))  # fmt: skip
    more = f"Cues ({len(rows)} of {len(cues)})" if len(cues) > len(rows) else f"Cues ({len(cues)})"
    return folded(more, table(("Channel", "Observation", "Verdict", "Why"), rows, "", "small-table", classes))
