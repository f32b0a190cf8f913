"""Trains the face-action estimator and writes its weights with the facts about what was validated.

    python -m cuewise.train.face_actions --out face_actions.safetensors --london DIR

About eight minutes of one processor core. The facts (data, numbers on held-out people, validated quantities) travel
in the metadata of the weights; docs/face.md explains them.
"""

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from tqdm import tqdm

from cuewise.data_recipes.synthetic.face_geometry import LANDMARKS
from cuewise.mllm.evidence.face_actions import (
    ANGLE_SCALE,
    KNOWN_POINTS,
    MIRRORED,
    OUTPUTS,
    FaceActionEstimator,
    FaceActionNet,
)
from cuewise.mllm.evidence.face_names import ANGLES, UNITS
from cuewise.train.face_action_data import FaceSet, photographs, rendered_faces

TRAIN_PEOPLE_FROM = 700_000
"""Seeds of the rendered people learned from, inside the train split of the synthetic corpus; held-out people have seeds
from `HELD_OUT_FROM`, outside of all its splits."""
HELD_OUT_FROM = 3_000_000
_SCALE = torch.tensor(
    [1 / 5] * len(UNITS) + [1 / ANGLE_SCALE] * len(ANGLES) + [1.0] * (len(OUTPUTS) - len(UNITS + ANGLES))
)
_SWAP = {"left": "right", "right": "left"}
_MIRROR_POINTS = [LANDMARKS.index(" ".join(_SWAP.get(word, word) for word in name.split())) for name in LANDMARKS]


@dataclass(kw_only=True, slots=True)
class FaceActionConfig:
    """How the estimator is trained."""

    people: int = 260
    """Rendered people to learn from."""
    frames: int = 20
    """Moments of each."""
    photo_copies: int = 6
    """Differently cut copies of each photograph."""
    epochs: int = 12
    batch: int = 32
    lr: float = 3e-3
    seed: int = 0
    min_correlation: float = 0.8
    """A quantity is validated on rendered faces at this correlation with the truth within held-out people ..."""
    max_error: float = 0.6
    """... and this mean absolute error, in intensity steps; for angles in units of 5 degrees."""
    min_smile_auc: float = 0.95
    """AU12 is validated on photographs when it separates smiling from neutral held-out people this well."""


def train(config: FaceActionConfig, data: FaceSet, log: list[dict[str, float]]) -> FaceActionNet:
    """Fit the net; `log` receives one record per epoch."""
    torch.manual_seed(config.seed)
    net = FaceActionNet().to(memory_format=torch.channels_last)
    crops = torch.from_numpy(data.crops).permute(0, 3, 1, 2)
    targets = torch.from_numpy(data.targets) * _SCALE
    points = torch.from_numpy(data.points)
    optimizer = torch.optim.AdamW(net.parameters(), config.lr, weight_decay=1e-3)
    steps = config.epochs * (len(crops) // config.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.lr, total_steps=steps, pct_start=0.15)
    net.train()
    progress = tqdm(range(config.epochs), desc="face actions", unit="epoch")
    for epoch in progress:
        order = torch.randperm(len(crops))
        total = 0.0
        for at in range(0, len(order) - config.batch + 1, config.batch):
            chosen = order[at : at + config.batch]
            pixels, wanted, places = augment(crops[chosen].float(), targets[chosen], points[chosen])
            out, found = net(pixels.contiguous(memory_format=torch.channels_last))
            loss = face_action_loss(out, wanted) + place_loss(found, places)
            if not torch.isfinite(loss):
                raise FloatingPointError(f"loss is {loss.item()} in epoch {epoch}; lower lr (now {config.lr})")
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        log.append({"epoch": epoch, "loss": total / (len(order) // config.batch)})
        progress.set_postfix(loss=f"{log[-1]['loss']:.3f}")
    return net.eval()


def face_action_loss(out: Tensor, wanted: Tensor) -> Tensor:
    """Squared error of actions plus cross-entropy of the logits; NaN targets do not count.

    Squared, not absolute: most units are 0 most of the time, and the median of a doubtful one would be 0 as well.
    out, wanted: (B, OUTPUTS), actions scaled to about [-1, 1].
    """
    known = ~torch.isnan(wanted)
    wanted = torch.nan_to_num(wanted)
    actions = len(UNITS + ANGLES)
    error = (out[:, :actions] - wanted[:, :actions]).square()
    doubt = nn.functional.binary_cross_entropy_with_logits(out[:, actions:], wanted[:, actions:], reduction="none")
    seen, judged = known[:, :actions], known[:, actions:]
    return 20 * (error * seen).sum() / seen.sum().clamp(min=1) + 0.3 * (doubt * judged).sum() / judged.sum().clamp(
        min=1
    )


def place_loss(found: Tensor, wanted: Tensor) -> Tensor:
    """Smooth absolute distance of the taught places, in crop halves; (B, POINTS, 2) against (B, 27, 2), NaN unknown."""
    known = ~torch.isnan(wanted)
    error = nn.functional.smooth_l1_loss(
        found[:, :KNOWN_POINTS], torch.nan_to_num(wanted), reduction="none", beta=0.02)  # fmt: skip
    return 10 * (error * known).sum() / known.sum().clamp(min=1)


def augment(pixels: Tensor, wanted: Tensor, places: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mirror, light, colour, noise, and other surroundings. pixels (B, 3, S, S) in [0, 255]."""
    batch, _, side, _ = pixels.shape
    mirrored = torch.rand(batch, 1) < 0.5
    wanted = torch.where(mirrored, wanted * MIRRORED, wanted)
    places = torch.where(mirrored[..., None], places[:, _MIRROR_POINTS] * torch.tensor([-1.0, 1.0]), places)
    pixels = torch.where(mirrored[..., None, None], pixels.flip(-1), pixels)
    pixels = pixels * torch.empty(batch, 1, 1, 1).uniform_(0.6, 1.3) * torch.empty(batch, 3, 1, 1).uniform_(0.85, 1.15)
    pixels = pixels + torch.empty(batch, 1, 1, 1).uniform_(-20, 20)
    ramp = torch.linspace(-1, 1, side)
    tilt = torch.empty(batch, 2, 1, 1).uniform_(-0.2, 0.2)
    pixels = pixels * (1 + tilt[:, :1] * ramp + tilt[:, 1:] * ramp[:, None]).clamp(min=0.5)
    noisy = torch.randn_like(pixels) * torch.empty(batch, 1, 1, 1).uniform_(0, 7)
    outside = ((ramp / 0.92) ** 2 + (ramp[:, None] / 0.98) ** 2 > 1).expand(batch, 1, side, side)
    outside = outside & (torch.rand(batch, 1, 1, 1) < 0.4)
    return torch.where(outside, pixels.roll(1, 0), pixels + noisy).clamp(0, 255), wanted, places


def validate(
    estimator: FaceActionEstimator, rendered: FaceSet, photos: FaceSet | None, config: FaceActionConfig
) -> dict:
    """Numbers on held-out people, and the quantities they validate on each kind of picture."""
    from sklearn.metrics import f1_score, roc_auc_score

    found = estimator.estimate(rendered.crops)
    truth = dict(zip(OUTPUTS, rendered.targets.T))
    table, validated = {}, {"rendered": [], "photograph": []}
    for name in UNITS + ANGLES:
        known = ~np.isnan(truth[name])
        true, said = truth[name][known], found.values[name][known]
        error = float(np.abs(true - said).mean())
        own_true, own_said = (_from_own_mean(values, rendered.person[known]) for values in (true, said))
        record = {"r": float(np.corrcoef(true, said)[0, 1]), "mae": error}
        record["r_within"] = float(np.corrcoef(own_true, own_said)[0, 1])
        record["slope_within"] = float((own_true @ own_said) / (own_true @ own_true))
        if name in UNITS:
            record["f1"] = float(f1_score(true >= 1, said >= 1))
        table[name] = {key: round(value, 3) for key, value in record.items()}
        if record["r_within"] >= config.min_correlation and error <= config.max_error * (1 if name in UNITS else 5):
            validated["rendered"].append(name)
    numbers: dict[str, Any] = {"rendered": table, "rendered_people": len(set(rendered.person.tolist()))}
    numbers["rendered_taken_for_photograph"] = round(float((found.photograph > 0.5).mean()), 4)
    if photos is not None:
        seen = estimator.estimate(photos.crops)
        smiling = photos.targets[:, OUTPUTS.index("AU12")] > 0
        auc = float(roc_auc_score(smiling, seen.values["AU12"]))
        numbers["photograph"] = {
            "people": len(set(photos.person.tolist())), "smile_auc": round(auc, 4),
            "smiling_mean": round(float(seen.values["AU12"][smiling].mean()), 2),
            "neutral_mean": round(float(seen.values["AU12"][~smiling].mean()), 2),
            "recognised": round(float((seen.photograph > 0.5).mean()), 4),
        }  # fmt: skip
        if auc >= config.min_smile_auc:
            validated["photograph"].append("AU12")
    return {"numbers": numbers, "validated": validated}


def _from_own_mean(values: np.ndarray, person: np.ndarray) -> np.ndarray:
    """Values less the mean of their person: what a check against the rest of a clip sees."""
    return values - np.array([values[person == one].mean() for one in person])


def save(net: FaceActionNet, facts: dict[str, Any], path: Path) -> None:
    """Half-precision weights with `facts` in the metadata."""
    state = {
        name: value.half().contiguous() if value.is_floating_point() else value
        for name, value in net.state_dict().items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(state, str(path), metadata={"format": "pt", "facts": json.dumps(facts)})


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="weights file to write")
    parser.add_argument("--london", type=Path, help="folder of the London face set; without it no photograph is known")
    parser.add_argument("--people", type=int, default=FaceActionConfig().people)
    parser.add_argument("--epochs", type=int, default=FaceActionConfig().epochs)
    options = parser.parse_args()
    config = FaceActionConfig(people=options.people, epochs=options.epochs)
    begin = time.process_time()
    data = rendered_faces(range(TRAIN_PEOPLE_FROM, TRAIN_PEOPLE_FROM + config.people), config.frames, config.seed)
    if options.london:
        photos = photographs(options.london, "train", config.photo_copies, config.seed)
        data = FaceSet(*(np.concatenate([getattr(part, name) for part in (data, photos)])
                         for name in ("crops", "targets", "points", "person")))  # fmt: skip
    print(f"{len(data.crops)} crops after {time.process_time() - begin:.0f} s")
    log: list[dict[str, float]] = []
    net = train(config, data, log)
    learned_from = "rendered faces" + ("; London face set (CC BY 4.0), train persons" if options.london else "")
    facts = {"config": asdict(config), "loss": round(log[-1]["loss"], 4), "licence": "Apache-2.0", "data": learned_from}
    held_out = rendered_faces(range(HELD_OUT_FROM, HELD_OUT_FROM + 60), 12, 1, detected=1.0)
    faces = photographs(options.london, "dev", 1, 1) if options.london else None
    save(net, facts, options.out)
    facts |= validate(FaceActionEstimator.load(options.out), held_out, faces, config)
    save(net, facts, options.out)
    print(json.dumps({key: facts[key] for key in ("numbers", "validated")}, indent=1))
    print(
        f"{sum(p.numel() for p in net.parameters())} parameters, {time.process_time() - begin:.0f} s of processor time"
    )


if __name__ == "__main__":
    main()
