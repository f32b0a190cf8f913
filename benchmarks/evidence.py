"""Quality of the evidence checks on synthetic held-out clips, whose cues are known.

    python benchmarks/evidence.py --clips 200            # seeds of the test split, never used for training
    python benchmarks/evidence.py --split dev --json out.json

Each clip is drawn and spoken, then goes through the media stage and the measurements like any other clip. Three kinds
of claims are checked: the true ones, their opposites in the same span (flipped), and claims about attributes of a
present channel that no cue names (idle; natural speech may well do what they say). Coverage: true claims that get a
verdict. Precision: verdicts on true and flipped claims that are right. Flipped contradicted: of the flipped claims
that get a verdict.
"""

import argparse
import json
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

from tqdm import tqdm

from cuewise.data_recipes.synthetic.corpus import SynthConfig, SyntheticClip, make_clip
from cuewise.data_recipes.synthetic.plan import SPLIT_SEEDS
from cuewise.mllm.clip import Clip
from cuewise.mllm.evidence.check import check_cue
from cuewise.mllm.evidence.claims import load, opposite, phrase
from cuewise.mllm.evidence.measure import measure
from cuewise.mllm.evidence.types import Measurements
from cuewise.mllm.media.config import MediaConfig
from cuewise.mllm.media.load import load_media
from cuewise.mllm.media.types import SAMPLE_RATE_HZ
from cuewise.mllm.report import CHANNELS, Claim, Cue

BARS = {"coverage": 0.8, "precision": 0.95, "flipped_contradicted": 0.9}
WRONG_QUOTE = "the purple elephant"
Counts = dict[tuple[str, str], Counter]


def main() -> int:
    """Measure, print the tables, return 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--split", choices=sorted(SPLIT_SEEDS), default="test")
    parser.add_argument("--first", type=int, default=0, help="number of the first clip within the split")
    parser.add_argument("--channels", nargs="+", choices=CHANNELS, default=list(CHANNELS))
    parser.add_argument("--json", type=Path, help="also write the counts and every wrong verdict here")
    options = parser.parse_args()
    begin = SPLIT_SEEDS[options.split][0] + options.first
    counts: Counts = defaultdict(Counter)
    wrong: list[dict] = []
    started = time.process_time()
    for seed in tqdm(range(begin, begin + options.clips), desc="clips", disable=not sys.stderr.isatty()):
        clip = make_clip(seed, SynthConfig())
        cues = [cue for cue in clip.row.cues if cue.channel in options.channels]
        judge(clip.row.id, cues, measure(media_of(clip)), counts, wrong)
    seconds = time.process_time() - started
    scores = summary(counts)
    print(f"{options.clips} clips, seeds from {begin} ({options.split} split), {seconds:.0f} s of processor time\n")
    print(table(counts))
    met = {name: scores[name] >= bar for name, bar in BARS.items()}
    for name, bar in BARS.items():
        print(f"{name.replace('_', ' '):<22}{scores[name]:.3f}   bar {bar}   {'met' if met[name] else 'MISSED'}")
    print(f"{'idle contradicted':<22}{scores['idle_contradicted']:.3f}   no bar")
    if options.json:
        record = {
            "scores": scores,
            "counts": {" ".join(key): dict(value) for key, value in counts.items()},
            "wrong": wrong,
        }
        options.json.write_text(json.dumps(record, indent=1), encoding="utf-8")
    return 0 if all(met.values()) else 1


def media_of(clip: SyntheticClip):
    """The clip through the ordinary media stage."""
    row = clip.row
    given = Clip(
        frames=clip.frames, fps=clip.fps if clip.frames is not None else None, samples=clip.samples,
        sample_rate=SAMPLE_RATE_HZ if clip.samples is not None else None, transcript=row.transcript,
        words=list(row.words), language=row.language, id=row.id,
    )  # fmt: skip
    return load_media(given, MediaConfig())


def judge(clip: str, cues: list[Cue], measurements: Measurements, counts: Counts, wrong: list[dict]) -> None:
    """Check the true, flipped and idle claims of one clip and count the verdicts."""
    for cue in cues:
        _count("true", cue, measurements, counts, wrong, clip)
        if (other := flipped(cue)) is not None:
            _count("flipped", other, measurements, counts, wrong, clip)
    for cue in cues:
        if cue.channel in ("voice", "face"):
            for other in idle(cue, cues):
                _count("idle", other, measurements, counts, None, clip)


def flipped(cue: Cue) -> Cue | None:
    """The opposite claim in the same span, or None where the vocabulary has none."""
    if cue.channel == "words":
        return cue.model_copy(update={"observation": f'"{WRONG_QUOTE}"'})
    contrary = None if cue.claim is None else opposite(cue.channel, cue.claim)
    if contrary is None:
        return None
    return cue.model_copy(update={"observation": phrase(cue.channel, contrary), "claim": None})


def idle(cue: Cue, cues: list[Cue]) -> list[Cue]:
    """`clearly` claims in the span of a cue about attributes that no cue of its channel names."""
    busy = {other.claim.attribute for other in cues if other.channel == cue.channel and other.claim}
    return [
        cue.model_copy(
            update={"claim": None, "observation": phrase(cue.channel, Claim(attribute=attribute, direction=name))}
        )
        for (attribute, name), meaning in load(cue.channel).directions.items()
        if attribute not in busy and meaning.propose
    ]


def _count(
    kind: str, cue: Cue, measurements: Measurements, counts: Counts, wrong: list[dict] | None, clip: str
) -> None:
    checked = check_cue(cue, measurements)
    verdict = checked.check.verdict if checked.check else "no claim"
    name = f"{checked.claim.attribute} {checked.claim.direction}" if checked.claim else cue.observation
    if kind == "flipped":
        back = opposite(cue.channel, checked.claim) if checked.claim else None
        name = f"{back.attribute} {back.direction}" if back else name
    counts[cue.channel, name][f"{kind} {verdict}"] += 1
    right = "supported" if kind == "true" else "contradicted"
    if wrong is not None and verdict != right:
        span = None if cue.start is None else [cue.start, cue.end]
        why = checked.check.why if checked.check else ""
        wrong.append({"clip": clip, "kind": kind, "channel": cue.channel, "claim": cue.observation, "span": span,
                      "verdict": verdict, "why": why})  # fmt: skip


def summary(counts: Counts) -> dict[str, float]:
    """The three measured qualities, and how many idle claims are contradicted."""
    total: Counter = sum(counts.values(), Counter())
    true = {v: total[f"true {v}"] for v in ("supported", "contradicted", "not_measurable", "no claim")}
    flip = {v: total[f"flipped {v}"] for v in ("supported", "contradicted")}
    rest = {v: total[f"idle {v}"] for v in ("supported", "contradicted")}
    verdicts = true["supported"] + true["contradicted"] + sum(flip.values())
    return {
        "coverage": (true["supported"] + true["contradicted"]) / max(sum(true.values()), 1),
        "precision": (true["supported"] + flip["contradicted"]) / max(verdicts, 1),
        "true_supported": true["supported"] / max(true["supported"] + true["contradicted"], 1),
        "flipped_contradicted": flip["contradicted"] / max(sum(flip.values()), 1),
        "idle_contradicted": rest["contradicted"] / max(sum(rest.values()), 1),
        "true_claims": sum(true.values()),
    }


def table(counts: Counts) -> str:
    """One line a claim and one a channel."""
    head = f"{'channel':<7} {'claim':<24}{'true':>6}{'covered':>9}{'supported':>11}"
    lines = [f"{head}{'flipped contradicted':>22}{'idle contradicted':>19}"]
    for channel in ("face", "voice", "words", "scene"):
        rows = {name: value for (room, name), value in counts.items() if room == channel}
        if any(key.startswith("true") for value in rows.values() for key in value):
            lines += [_line(channel, name, value) for name, value in sorted(rows.items())]
            lines += [_line(channel, "all", sum(rows.values(), Counter())), ""]
    return "\n".join(lines)


def _line(channel: str, name: str, count: Counter) -> str:
    true = sum(value for key, value in count.items() if key.startswith("true"))
    return (
        f"{channel:<7} {name:<24}{true:>6}"
        f"{_share(count['true supported'] + count['true contradicted'], true):>9}"
        f"{_share(count['true supported'], count['true supported'] + count['true contradicted']):>11}"
        f"{_share(count['flipped contradicted'], count['flipped contradicted'] + count['flipped supported']):>22}"
        f"{_share(count['idle contradicted'], count['idle contradicted'] + count['idle supported']):>19}"
    )


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.3f}" if whole else "-"


if __name__ == "__main__":
    sys.exit(main())
