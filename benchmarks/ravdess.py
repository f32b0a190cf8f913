"""RAVDESS speech on actors that were never trained on: our model beside references trained on the same fifteen actors.

    python benchmarks/ravdess.py --data DATA [--model nano-research] [--json FILE]
    python benchmarks/ravdess.py --data DATA --reference runs/ravdess_reference.json     # keeps the references' answers

DATA holds ravdess_speech/ in its development layout. References: a small CNN on log-mel, a logistic regression on mean
action units, and the product of both; published systems (Luna-Jimenez et al. 2022) on the same clips, which were
trained on the other twenty actors. Ours: the written answer and the heads from voice alone; the answer from voice and
the measured action units in words (`context`), in our wording and in another; and two controls: a context that tells no
face must leave the answer as good as without, and words alone must be at chance.
UAR over eight classes, 95 % intervals resampled by speaker; differences are paired over the same clips and speakers.
"""

import argparse
import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from torch import Tensor, nn

from cuewise.data_recipes.action_words import OTHERS, in_words
from cuewise.data_recipes.corpora import COMMON_LABELS, common_label, read
from cuewise.data_recipes.schema import Row
from cuewise.eval.metrics.bootstrap import class_intervals, compare_classes
from cuewise.mllm.clip import Clip
from cuewise.mllm.encoders.conv_voice import normalise_clip
from cuewise.mllm.encoders.features import MelConfig, log_mel, speech_span
from cuewise.mllm.media import MediaConfig, load_media
from cuewise.mllm.pipeline import Analyzer
from cuewise.mllm.report import EmotionReport
from cuewise.mllm.tensors import ClipTensors, StreamTensors
from cuewise.train.augment import AugmentConfig, augment

FRAMES = 200
"""Frames of 10 ms that a training window has: a short clip is repeated."""

NO_FACE = "She has just arrived."
"""A context that should change nothing."""

REFERENCE = "CNN on log-mel (trained here)"
MEL = MelConfig()


class ReferenceCNN(nn.Module):
    """Four strided 3 x 3 convolutions with batch norm, mean and deviation over time, one linear layer. Each clip is
    normalised by itself: by one mean and deviation, and by a mean per band. About 150,000 weights."""

    def __init__(self, channels: tuple[int, ...] = (32, 56, 80, 104)):
        super().__init__()
        sizes, strides = (2, *channels), (2, 2, 2, (1, 2))
        self.net = nn.Sequential(*(
            nn.Sequential(nn.Conv2d(sizes[i], sizes[i + 1], 3, strides[i], 1, bias=False), nn.BatchNorm2d(sizes[i + 1]),
                          nn.ReLU(), nn.Dropout2d(0.1))
            for i in range(4)
        ))  # fmt: skip
        self.out = nn.Sequential(nn.Dropout(0.3), nn.Linear(8 * channels[-1], len(COMMON_LABELS)))

    def forward(self, mel: Tensor) -> Tensor:
        """log-mel [B, T, bands] -> logits [B, 8]."""
        x = normalise_clip(mel, torch.ones(mel.shape[:2], dtype=torch.bool))
        x = self.net(x.contiguous(memory_format=torch.channels_last)).transpose(2, 3).flatten(1, 2)
        return self.out(torch.cat([x.mean(2), (x.var(2, unbiased=False) + 1e-5).sqrt()], 1))


def train_cnn(mels: list[Tensor], labels: list[int], epochs: int, seed: int = 0) -> ReferenceCNN:
    """SpecAugment, speed, pitch, gain, noise, any start; label smoothing; voices mixed in half of the batches; the
    logarithm of each label's share is added while learning, so that no frequent label is favoured (as for ours)."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    net, config = ReferenceCNN().to(memory_format=torch.channels_last), AugmentConfig(frames=FRAMES)
    steps = epochs * (len(mels) // 32)
    optimizer = torch.optim.AdamW(net.parameters(), 3e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps, pct_start=0.1)
    prior = (torch.bincount(torch.tensor(labels), minlength=len(COMMON_LABELS)) / len(labels)).log()
    net.train()
    for step in range(steps):
        picks = torch.randint(len(mels), (32,), generator=generator).tolist()
        batch = torch.stack([_varied(mels[i], config, generator) for i in picks])
        wanted = nn.functional.one_hot(torch.tensor([labels[i] for i in picks]), len(COMMON_LABELS)).float()
        if step % 2:
            partner = torch.randperm(32, generator=generator)
            share = (1 - torch.rand(32, generator=generator) ** 3 / 2)[:, None]
            batch = share[..., None] * batch + (1 - share[..., None]) * batch[partner]
            wanted = share * wanted + (1 - share) * wanted[partner]
        loss = nn.functional.cross_entropy(net(batch) + prior, wanted, label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimizer.step()
        schedule.step()
    return net.eval()


def _varied(mel: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    clip = ClipTensors({"voice": StreamTensors(mel, torch.zeros(len(mel)))})
    return augment(clip, config, generator).streams["voice"].values


def mel_of(row: Row, root: Path) -> Tensor:
    """float32 [T, 64] log-mel of the frames that hold the sound."""
    bands = log_mel(load_media(row.clip(root), MediaConfig()).samples, MEL)
    return bands[speech_span(bands, MEL)]


def action_table(root: Path) -> dict[str, np.ndarray]:
    """clip -> the 35 mean OpenFace values."""
    with (root / "openface_au_mean.csv").open(encoding="utf-8") as lines:
        return {line.pop("clip"): np.array([float(value) for value in line.values()]) for line in csv.DictReader(lines)}


def references(root: Path, epochs: int) -> dict[str, dict[str, str]]:
    """system -> clip -> label, for the references trained here and the published ones."""
    train, dev = list(read("ravdess", root, "train")), list(read("ravdess", root, "dev"))
    wanted = [COMMON_LABELS.index(common_label(row.labels[0])) for row in train]
    net = train_cnn([mel_of(row, root) for row in train], wanted, epochs)
    with torch.inference_mode():
        sound = np.stack([net(mel_of(row, root)[None]).softmax(-1)[0].numpy() for row in dev])
    actions = action_table(root)
    model = make_pipeline(FunctionTransformer(np.sqrt), StandardScaler(), LogisticRegression(C=0.3, max_iter=3000))
    model.fit(np.stack([actions[row.id] for row in train]), wanted)
    face = model.predict_proba(np.stack([actions[row.id] for row in dev]))
    found = {
        REFERENCE: _labels(dev, sound), "logistic regression on mean action units (trained here)": _labels(dev, face),
        "product of both (trained here)": _labels(dev, sound * face),
    }  # fmt: skip
    return found | published(root, {row.id for row in dev})


def published(root: Path, clips: set[str]) -> dict[str, dict[str, str]]:
    """system -> clip -> label of `published_predictions.csv`."""
    found: dict[str, dict[str, str]] = {}
    with (root / "published_predictions.csv").open(encoding="utf-8") as lines:
        for line in csv.DictReader(lines):
            if line["clip"] in clips:
                best = max(COMMON_LABELS, key=lambda label: float(line[label]))
                found.setdefault(f"published: {line['system']}", {})[line["clip"]] = best
    return found


def _labels(rows: Sequence[Row], scores: np.ndarray) -> dict[str, str]:
    return {row.id: COMMON_LABELS[int(best)] for row, best in zip(rows, scores.argmax(1))}


def ours(root: Path, name: str) -> dict[str, dict[str, str]]:
    """What the model writes, and its heads from voice alone, in every condition."""
    rows = list(read("ravdess", root, "dev"))
    measured = {row.id.removeprefix("au_"): row for row in read("ravdess_au", root, "dev")}
    found: dict[str, dict[str, str]] = {}
    with Analyzer.load(name) as analyzer:
        for kind, clips in (
            ("voice alone", [_voice(row, root) for row in rows]),
            ("voice and action units in words", [_voice(row, root, measured[row.id].context) for row in rows]),
            ("voice and action units in words, as a table names them",
             [_voice(row, root, in_words(measured[row.id].aus, OTHERS["openface"])) for row in rows]),
            ("voice and a context that tells no face", [_voice(row, root, NO_FACE) for row in rows]),
            ("words alone", [Clip(transcript=row.transcript, id=row.id) for row in rows]),
        ):
            written, heads = {}, {}
            for row, report in zip(rows, analyzer.analyze_many(clips)):
                if not isinstance(report, EmotionReport):
                    written[row.id] = heads[row.id] = ""
                    continue
                first = report.emotions[0].label if report.emotions else ""
                written[row.id] = (common_label(first) or first) if first else ""
                heads[row.id] = max(report.distribution, key=report.distribution.get) if report.distribution else ""
            found[f"{name}: answer, {kind}"] = written
            if kind == "voice alone":
                found[f"{name}: heads, {kind}"] = heads
    return found


def _voice(row: Row, root: Path, context: str | None = None) -> Clip:
    clip = row.clip(root)
    clip.transcript, clip.words, clip.context = None, [], context
    return clip


def table(rows: Sequence[Row], systems: dict[str, dict[str, str]]) -> list[dict[str, Any]]:
    """UAR of every system, and the paired difference from the reference CNN or the product."""
    gold, speakers = [common_label(row.labels[0]) for row in rows], [row.speaker for row in rows]
    lines = []
    for name, answers in systems.items():
        given = [answers[row.id] for row in rows]
        interval = class_intervals(gold, given, COMMON_LABELS, groups=speakers)["uar"]
        both = "action units in words" in name or "late_fusion" in name
        other = systems["product of both (trained here)" if both else REFERENCE]
        difference = compare_classes(
            gold, given, [other[row.id] for row in rows], COMMON_LABELS, groups=speakers
        )["uar"]
        lines.append({
            "system": name, "uar": [round(value, 4) for value in (interval.value, interval.low, interval.high)],
            "against": "product" if both else "CNN",
            "difference": [round(value, 4) for value in (difference.difference, difference.low, difference.high)],
        })  # fmt: skip
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="nano-research", help="name or folder; 'none' for the references alone")
    parser.add_argument("--epochs", type=int, default=220, help="of the reference CNN; 220 take ten to fifteen minutes")
    parser.add_argument("--reference", type=Path, help="file that keeps the references' answers between runs")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    root = args.data / "ravdess_speech"
    if args.reference and args.reference.is_file():
        systems = json.loads(args.reference.read_text(encoding="utf-8"))
    else:
        systems = references(root, args.epochs)
        if args.reference:
            args.reference.parent.mkdir(parents=True, exist_ok=True)
            args.reference.write_text(json.dumps(systems) + "\n", encoding="utf-8")
    if args.model != "none":
        systems |= ours(root, args.model)
    lines = table(list(read("ravdess", root, "dev")), systems)
    for line in lines:
        value, difference = line["uar"], line["difference"]
        print(f"{line['system']:62} UAR {value[0]:.3f} [{value[1]:.3f}, {value[2]:.3f}]   against {line['against']:7} "
              f"{difference[0]:+.3f} [{difference[1]:+.3f}, {difference[2]:+.3f}]")  # fmt: skip
    if args.json:
        args.json.write_text(json.dumps({"split": "dev", "epochs": args.epochs, "systems": lines}, indent=1) + "\n")


if __name__ == "__main__":
    main()
