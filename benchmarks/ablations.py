"""What is lost without a part of the training of `nano`? One small schedule, from nothing, without one part at a time.

    python benchmarks/ablations.py --data DATA --out runs/ablations [--arms full no_prefusion ...] [--scale 1.0]
    cuewise eval synthetic --system runs/ablations/full/model --set datasets.synthetic.source.synthetic=100
    python benchmarks/stages.py ...                       # compares the evaluations

The schedule, in steps of 64 samples: words 120, face 120, voice 200, how they join 60, answers 300, on the data of
`nano` less its drawn clips and most of its texts. The arms:

    full           perception, then answers
    no_prefusion   the same perception; no token that the streams make together before the language model
    answer_only    the same perception; answers are labels alone, without cues
    no_curriculum  no stage before the answers: everything learns together, head losses included, for as many samples

What a reward for cues adds is another question: `cuewise train nano-grpo policy.cue_credit=0` is without one.
"""

import argparse
import shutil
from pathlib import Path
from typing import Any

import torch
import yaml
from transformers import AutoTokenizer

from cuewise.mllm.folders import model_folder
from cuewise.mllm.modeling import CuewiseForConditionalGeneration
from cuewise.mllm.presets import nano_config
from cuewise.mllm.processing import CuewiseProcessor
from cuewise.mllm.tokenizer import token_ids
from cuewise.train import sft

STEPS = {"words": 120, "face": 120, "voice": 200, "together": 60, "answers": 300}
ARMS = ("full", "no_prefusion", "answer_only", "no_curriculum")
SIZE = 64
TEXTS = 10_000


def recipe(args: argparse.Namespace) -> dict[str, Any]:
    """The sources and stages of `nano`, each stage shortened."""
    values = sft.recipe_values("nano")
    sources = values["sources"] | {"goemotions": values["sources"]["goemotions"] | {"count": TEXTS}}
    stages = {name: values["stages"][name] for name in STEPS}
    stages["together"]["mixture"]["weights"] = {"fresh": 0.7, "emodb": 0.2, "london": 0.1}
    for name, stage in stages.items():
        stage["mixture"]["weights"].pop("synthetic", None)
        stage["packed"] = stage["objective"] == "answers" and not torch.cuda.is_available()
        stage["loop"].update(steps=max(2, round(STEPS[name] * args.scale)), batch_size=SIZE, average=0.95,
                             warmup_steps=round(20 * args.scale), log_every=20, save_every=1000)  # fmt: skip
    return values | {
        "stages": stages, "sources": sources, "validation": {}, "data_root": args.data, "out": args.out,
        "stored": "float16", "workers": args.workers, "hardware": {"batch_workers": args.batch_workers},
    }  # fmt: skip


def train(values: dict[str, Any], name: str, stages: dict[str, Any], init: Path, args: argparse.Namespace) -> Path:
    """These stages, from a model; its folder."""
    path = Path(args.out) / f"{name}.yaml"
    written = values | {"stages": stages, "name": name, "init": str(init)}
    path.write_text(yaml.safe_dump(written, sort_keys=False), encoding="utf-8")
    return sft.main(str(path))


def begin(args: argparse.Namespace) -> Path:
    """New weights, with the vocabulary of the shipped model."""
    tokenizer = AutoTokenizer.from_pretrained(model_folder("nano"))
    torch.manual_seed(0)
    model = CuewiseForConditionalGeneration(nano_config(len(tokenizer), token_ids(tokenizer)))
    model.media.towers["face"].encoder.load_weights()
    return sft.save(model, CuewiseProcessor.from_config(model.config, tokenizer), Path(args.out) / "start")


def without_prefusion(folder: Path, out: Path) -> Path:
    """The model of a folder, less the token that its streams make together."""
    full = CuewiseForConditionalGeneration.from_pretrained(folder)
    processor = CuewiseProcessor.from_pretrained(folder)
    config = type(full.config)(**full.config.to_dict() | {"prefusion": {"name": "none"}})
    model = CuewiseForConditionalGeneration(config)
    left = model.load_state_dict(full.state_dict(), strict=False)
    if left.missing_keys:
        raise RuntimeError(f"these weights have no counterpart: {left.missing_keys[:3]}")
    return sft.save(model, CuewiseProcessor.from_config(config, processor.tokenizer), out)


def arm(name: str, values: dict[str, Any], start: Path, args: argparse.Namespace) -> Path:
    """Train one arm."""
    stages = values["stages"]
    if name == "no_curriculum":
        trained = {part for stage in stages.values() for part in stage["trains"]}
        one = stages["answers"] | {"trains": sorted(trained), "head_weight": 0.5}
        steps = sum(stage["loop"]["steps"] for stage in stages.values())
        together = one | {"loop": one["loop"] | {"steps": steps}}
        return train(values, name, {"answers": together}, start, args)
    read = Path(args.out) / "perception" / "model"
    if not read.is_dir():
        read = train(values, "perception", {key: stages[key] for key in stages if key != "answers"}, start, args)
    answers = stages["answers"]
    if name == "no_prefusion":
        read = without_prefusion(read, Path(args.out) / "perception_no_prefusion")
        answers = answers | {"trains": [part for part in answers["trains"] if part != "fusion"]}
    if name == "answer_only":
        answers = answers | {"mixture": answers["mixture"] | {"explained_share": 0.0}}
    return train(values, name, {"answers": answers}, read, args)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", default="runs/ablations")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=[*ARMS])
    parser.add_argument("--scale", type=float, default=1.0, help="factor on all steps")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch-workers", type=int, default=0)
    args = parser.parse_args()
    Path(args.out).mkdir(parents=True, exist_ok=True)
    values = recipe(args)
    start = Path(args.out) / "start"
    start = start if start.is_dir() else begin(args)
    for name in args.arms:
        print(f"{name}: {arm(name, values, start, args)}", flush=True)
    shutil.rmtree(Path(args.out) / "start", ignore_errors=True)


if __name__ == "__main__":
    main()
