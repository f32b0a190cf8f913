"""The control that must not learn: with media of other clips a model stays at chance; with its own it reads them."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import pytest
import torch
from tiny import LLMS, tiny_processor

from cuewise.data_recipes.synthetic.corpus import SynthConfig, make_clip
from cuewise.mllm.configuration import CuewiseConfig
from cuewise.mllm.engine.base import EngineRequest, SamplingParams
from cuewise.mllm.engine.slot import SlotEngine
from cuewise.mllm.media import MediaConfig
from cuewise.mllm.modeling import CuewiseForConditionalGeneration
from cuewise.mllm.prompts import build
from cuewise.mllm.report import parse
from cuewise.mllm.tensors import ClipTensors
from cuewise.train.augment import AugmentConfig
from cuewise.train.curriculum import StageConfig
from cuewise.train.data import MixtureConfig
from cuewise.train.examples import Example, known_actions
from cuewise.train.loop import LoopConfig
from cuewise.train.stages import train_stage

LABELS = ["happy", "angry", "surprised", "sad"]
CHANCE = 1 / len(LABELS)
FACES = SynthConfig(labels=LABELS, conflict_share=0.0, absent_share=0.0, emotional_words_share=0.0)
VOCAB = 384


@lru_cache(maxsize=1)
def clips() -> tuple[list[Example], list[Example]]:
    """Faces of synthetic people to learn from, and of other people to be asked about."""
    made: list[list[Example]] = []
    for first, count in ((0, 240), (1_000_000, 100)):
        made.append([])
        for seed in range(first, first + count):
            clip = make_clip(seed, FACES, pictures=False)
            seen = {"transcript": None, "words": [], "votes": {}, "labels": clip.row.labels[:1]}
            row = clip.row.model_copy(update=seen)
            face = known_actions(clip, MediaConfig())
            made[-1].append(Example(row, ClipTensors({"face": face}), clip.duration_s, "faces"))
    return made[0], made[1]


def model() -> CuewiseForConditionalGeneration:
    face = {"encoder": {"family": "face_actions", "width": 48},
            "compressor": {"name": "attn_pool", "tokens": 4, "summary": True}, "projector": {"hidden": 64}}  # fmt: skip
    text = {**LLMS["qwen3"], "hidden_size": 64, "intermediate_size": 96}
    torch.manual_seed(0)
    return CuewiseForConditionalGeneration(CuewiseConfig(
        text_config={"vocab_size": VOCAB, "bos_token_id": None, "eos_token_id": 1, "pad_token_id": 0, **text},
        streams={"face": face}, prefusion={"name": "none"},
    ))  # fmt: skip


def accuracy(trained: CuewiseForConditionalGeneration, examples: list[Example]) -> float:
    """Share of clips whose written answer names the label."""
    processor, trained = tiny_processor(trained.config), trained.eval()
    requests = []
    with torch.no_grad():
        media = trained.encode(processor.collate([example.tensors for example in examples]))
        for index, (example, tokens) in enumerate(zip(examples, media)):
            prompt = build(["face"], "direct", duration_s=example.duration_s)
            ids = processor.prompt_ids(prompt, tokens.counts)
            requests.append(EngineRequest(id=str(index), segments=[trained.prompt_rows(ids, tokens)],
                                          sampling=SamplingParams(max_tokens=16)))  # fmt: skip
    engine = SlotEngine(trained.language_model, processor.tokenizer, end_ids=[1])
    texts = dict.fromkeys(map(str, range(len(examples))), "")
    for event in engine.generate(requests):
        texts[event.request_id] += event.text
    right = [parse(texts[str(i)], None).labels[:1] == one.row.labels for i, one in enumerate(examples)]
    return sum(right) / len(right)


@pytest.mark.slow
@pytest.mark.parametrize("shuffled", [False, True])
def test_media_of_other_clips_teach_nothing_and_their_own_do(tmp_path: Path, shuffled: bool):
    learnt, asked = clips()
    if shuffled:
        order = torch.randperm(len(learnt), generator=torch.Generator().manual_seed(1)).tolist()
        learnt = [replace(one, tensors=learnt[other].tensors) for one, other in zip(learnt, order)]
    stage = StageConfig(
        trains=["face", "llm"], head_weight=0.5,
        loop=LoopConfig(steps=500, batch_size=16, lr=0.003, warmup_steps=20, log_every=100),
        mixture=MixtureConfig(weights={"faces": 1.0}, explained_share=0.0, stream_dropout=0.0,
                              augment=AugmentConfig(pictures=True)),
    )  # fmt: skip
    trained = model()
    train_stage("faces", stage, trained, tiny_processor(trained.config), {"faces": learnt}, {}, tmp_path, seed=0)
    found = accuracy(trained, asked)
    if shuffled:
        assert found < CHANCE + 0.13, found  # three standard errors of a guess over 100 clips
    else:
        assert found >= 0.9, found
