"""Media cache: an epoch that decodes, encodes and trains against the next one that reads the cache and trains.

    python benchmarks/cache.py [--clips 16] [--llm nano|0.5b] [--json]

Both epochs take the same steps on the same clips, read from files (video, sound, words). The encoders of the shipped
model are frozen; the language model, projectors and pre-fusion are trained. Numbers are seconds of CPU time on one
thread. `0.5b` puts a language model of the shape of Qwen2.5-0.5B behind the same encoders.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from cuewise.data_recipes.schema import read_jsonl
from cuewise.data_recipes.synthetic.corpus import SynthConfig
from cuewise.data_recipes.synthetic.writer import write_corpus
from cuewise.mllm.cache import FrozenEncoders
from cuewise.mllm.configuration import CuewiseConfig
from cuewise.mllm.folders import model_folder
from cuewise.mllm.media import MediaConfig
from cuewise.mllm.modeling import CuewiseForConditionalGeneration
from cuewise.mllm.processing import CuewiseProcessor
from cuewise.train.data import Mixture, MixtureConfig
from cuewise.train.examples import Example
from cuewise.train.stages import answers_loss

QWEN_05B = {"model_type": "qwen2", "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24,
            "num_attention_heads": 14, "num_key_value_heads": 2, "tie_word_embeddings": True}  # fmt: skip
TRAINS = {"nano": ["llm", "fusion", "face.projector", "scene.projector", "voice.projector", "words.projector"],
          "0.5b": ["fusion", "face.projector", "scene.projector", "voice.projector", "words.projector"]}  # fmt: skip


def load(llm: str) -> tuple[CuewiseForConditionalGeneration, CuewiseProcessor]:
    """The shipped model, or its encoders before a language model of 0.5 billion weights."""
    folder = model_folder("nano")
    processor = CuewiseProcessor.from_pretrained(folder)
    if llm == "nano":
        return CuewiseForConditionalGeneration.from_pretrained(folder), processor
    config = CuewiseConfig.from_pretrained(folder)
    sizes = {key: getattr(config.text_config, key) for key in ("vocab_size", "eos_token_id", "pad_token_id")}
    made = CuewiseConfig(text_config=QWEN_05B | sizes, streams=config.streams, prefusion=config.prefusion,
                         heads=config.heads, features=config.features, tokens=config.tokens)  # fmt: skip
    return CuewiseForConditionalGeneration(made), processor


def epoch(model, processor, rows, root: Path, reader: FrozenEncoders, batch: int, optimizer) -> tuple[float, list]:
    """(seconds of CPU, losses) of one pass over the rows."""
    began, losses = time.process_time(), []
    for start in range(0, len(rows), batch):
        examples = []
        for row in rows[start : start + batch]:
            clip = reader.clip(row.clip(root), MediaConfig())
            examples.append(Example(row, clip.tensors, clip.duration_s, "bench"))
        mixture = Mixture({"bench": examples}, MixtureConfig(weights={"bench": 1.0}), processor)
        texts = [mixture.ids_and_labels(example, example.tensors, "explained") for example in examples]
        made = mixture.with_text(examples, [example.tensors for example in examples], texts)
        loss, _ = answers_loss(model, made, 0.0)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(float(loss.detach()))
    return time.process_time() - began, losses


def run(llm: str, clips: int, batch: int, folder: Path) -> dict[str, float | str | int]:
    """Two epochs with the cache in `folder`, and the losses of a second epoch without it."""
    torch.set_num_threads(1)
    rows = list(read_jsonl(write_corpus(folder / "clips", clips, 500, SynthConfig(), 1)))
    losses = {}
    for kind in ("cached", "computed"):
        torch.manual_seed(0)
        model, processor = load(llm)
        model.train_only(*TRAINS[llm])
        model.eval()
        optimizer = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=1e-4)
        cache = folder / "cache" if kind == "cached" else None
        reader = FrozenEncoders(model, processor, list(processor.plan.streams), cache)
        times = []
        for _ in range(2):
            seconds, found = epoch(model, processor, rows, folder / "clips", reader, batch, optimizer)
            times.append(seconds)
            losses.setdefault(kind, []).extend(found)
        if kind == "cached":
            first, second = times
    return {"llm": llm, "clips": clips, "epoch1_s": round(first, 2), "epoch2_s": round(second, 2),
            "ratio": round(first / second, 2), "equal_losses": losses["cached"] == losses["computed"]}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=16)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--llm", choices=("nano", "0.5b"), default="nano")
    parser.add_argument("--json", action="store_true", help="last line: the numbers as JSON")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = run(args.llm, args.clips, args.batch, Path(folder))
    print(f"epoch 1 (decode, encode, train)  {found['epoch1_s']:8.2f} s of CPU")
    print(f"epoch 2 (read, train)            {found['epoch2_s']:8.2f} s of CPU")
    print(f"ratio                            {found['ratio']:8.2f}")
    print(f"losses equal with and without    {found['equal_losses']}")
    if args.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
