"""Where the numbers of a run go: log.jsonl, trackers of accelerate, tables of samples, a progress bar.

Every logged name is in `LOG_NAMES`; the table of docs/training.md is held to it.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from tqdm import tqdm

LOG_NAMES: dict[str, str] = {
    "loss": "loss of the optimizer step, averaged over its micro-batches and processes by weight",
    "grad_norm": "norm of the gradients before clipping",
    "lr": "learning rate of parameters with factor 1",
    "samples_per_s": "samples per second since the stage began or was resumed",
    "epoch": "samples drawn so far, divided by the examples of the mixture",
    "media_rows": "media rows per sample that reached the language model; 0 stops the run",
    "answer_loss": "next-token loss of the answer",
    "token_accuracy": "share of answer tokens whose most likely prediction is right",
    "tokens": "answer tokens of the step",
    "face/loss": "cross-entropy of the face's reading, over samples labelled for it",
    "face/accuracy": "accuracy of the face's reading",
    "voice/loss": "cross-entropy of the voice's reading",
    "voice/accuracy": "accuracy of the voice's reading",
    "words/loss": "cross-entropy of the words' reading",
    "words/accuracy": "accuracy of the words' reading",
    "context/loss": "cross-entropy of the reading of the context",
    "context/accuracy": "accuracy of the reading of the context",
    "all/loss": "cross-entropy of all present streams together",
    "all/accuracy": "accuracy of all present streams together",
    "va/loss": "valence/arousal: sum of 1 - CCC + 3 MSE",
    "va/ccc": "concordance of valence and arousal, mean of both",
    "au/loss": "squared error of action unit intensities, over the units that a row names",
    "actions/loss": "squared error of the roots of the face actions read from a context",
    "actions/spread": "variance of those roots in the batch: the error of a guess",
    "meaning/loss": "cross-entropy of the reading of the context against what a regression says of the face",
    "meaning/agreement": "how often the reading of the context and the regression name the same label",
    "readings/followed": "share of samples whose answer is the reading of all streams in place of the label",
    "*/contrast": "InfoNCE between two streams (`face-voice`), of clips and texts (`clip-text`), or over the "
    "`depths` of the encoders",
    "temperature": "learned temperature of the contrast",
    "retrieval": "share of clips whose own description is the nearest of the batch",
    "*/mse": "squared error at the hidden places of that stream",
    "*/hidden": "share of that stream's valid places that was hidden",
    "*/order": "share of clips of that stream whose order is told right",
    "heatmap/correlation": "correlation of the face encoder's maps with the heat maps of the action units",
    "heatmap/iou": "overlap of the strongest places of those maps with the units' regions",
    "heatmap/clips": "clips of the batch that had action units or a label with some",
    "vad/loss": "squared error of the places of written words",
    "vad/words": "written words that the lexicon knows",
    "triple/loss": "own explanation against wrong ones",
    "triple/right": "share of clips whose own explanation wins",
    "distil/loss": "divergence of the batch's similarities from the teacher's",
    "distil/agreement": "share of clips whose own teacher picture is the nearest",
    "pair/loss": "InfoNCE of scene and person",
    "accuracy": "share of labelled turns that the best chain of labels gets right",
    "labelled": "turns of the batch that have a label",
    "actions/labelled": "contexts of the batch that tell measured actions",
    "context/labelled": "contexts of the batch that have a label",
    "turns": "turns of the batch",
    "dialogues": "dialogues of the batch",
    "*/auxiliary": "what a mechanism in that scope asks for itself (even use of experts, a small "
    "approximation), weighted",
    "balance_loss": "how unevenly the modality experts are used, before its weight; 1 is even",
    "valid/*": "any of these on the stage's validation sources, each clip once with one of the stage's tasks (always "
               "the same), in eval mode, without augmentation or invented faces; means are over the clips that have "
               "the label, concordance over all clips, counts are sums, whatever the size of a micro-batch",
}
"""Name below the stage (`STAGE/NAME`) -> what it is. `*` stands for a stream, two streams or a scope; in `valid/*` for
all other names."""


class JsonLog:
    """One JSON object per logged step. Lines after the step a run resumes from are dropped, so none stands twice."""

    def __init__(self, path: Path):
        self.path = path

    def rewind(self, stage: str, step: int) -> None:
        """Forget what was logged for `stage` after `step`, and a line that was cut off by a kill."""
        if not self.path.exists():
            return
        kept = []
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if entry.get("stage") != stage or entry.get("step", 0) <= step:
                kept.append(line + "\n")
        part = self.path.with_name(f".{self.path.name}.part")
        part.write_text("".join(kept), encoding="utf-8")
        part.replace(self.path)

    def write(self, stage: str, step: int, stats: Mapping[str, float]) -> None:
        """Add one line; names become ``stage/name``."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = {"stage": stage, "step": step} | {f"{stage}/{key}": round(value, 6) for key, value in stats.items()}
        with self.path.open("a", encoding="utf-8") as out:
            out.write(json.dumps(line) + "\n")


def write_table(folder: Path, stage: str, step: int, rows: Sequence[Mapping[str, Any]]) -> Path | None:
    """The samples of one step as ``folder/STAGE/step-NNNNNNNN.parquet``, whole or not at all; None without rows."""
    if not rows:
        return None
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ValueError("sample tables need pyarrow: pip install 'cuewise[train]', or set sample_every=0") from error
    path = folder / stage / f"step-{step:08d}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    pq.write_table(pa.Table.from_pylist([{"stage": stage, "step": step, **row} for row in rows]), part)
    os.replace(part, path)
    return path


def read_tables(folder: Path, stage: str) -> list[dict[str, Any]]:
    """All rows of a stage's sample tables, in order of step."""
    import pyarrow.parquet as pq

    return [row for path in sorted((folder / stage).glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def progress(name: str, first: int, steps: int, shown: bool = True) -> "tqdm[int]":
    """A bar over the steps that are left, with the time that remains."""
    return tqdm(range(first, steps), initial=first, total=steps, desc=name, unit="step", mininterval=2,
                disable=not shown)  # fmt: skip


def matches(name: str) -> Iterator[str]:
    """Entries of `LOG_NAMES` that describe a logged name."""
    bare = name.removeprefix("valid/")
    for known in LOG_NAMES:
        if known != "valid/*" and fnmatchcase(bare, known):
            yield known if bare == name else "valid/*"
