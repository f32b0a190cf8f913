"""Tiny models, built from nothing in milliseconds, and clips to feed them. Shared by all tests."""

from functools import lru_cache

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from cuewise.mllm.configuration import CuewiseConfig
from cuewise.mllm.media.types import FaceTrack, Media
from cuewise.mllm.modeling import CuewiseForConditionalGeneration
from cuewise.mllm.processing import CuewiseProcessor
from cuewise.mllm.prompts import build
from cuewise.mllm.tokenizer import train_tokenizer

VOCAB = 384
STREAMS = ("face", "scene", "voice", "words")
TEXTS = ["[face 0.40-1.20] lip corners clearly up (AU12) => happy", "pitch clearly higher => sad, angry", "we won"]
LLMS = {
    "qwen3": {
        "model_type": "qwen3", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "tie_word_embeddings": True,
    },
    "llama": {
        "model_type": "llama", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": False,
    },
    "gpt2": {"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512},
}  # fmt: skip
CONV = {"channels": [8, 8, 8, 8], "width": 16}


@lru_cache(maxsize=1)
def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level tokenizer with all structural tokens and at most `VOCAB` ids."""
    return train_tokenizer(TEXTS * 4, VOCAB)


def tiny_config(llm: str = "qwen3", prefusion: str | dict = "attn2", **changes) -> CuewiseConfig:
    """All four streams in front of a two-layer language model; `changes` replace arguments of `CuewiseConfig`."""
    voice = {"tokens": 4, "summary": True}
    streams = {
        "face": {
            "encoder": {"family": "conv_face", "image_size": 32, **CONV},
            "compressor": {"name": "attn_pool", "tokens": 3, "summary": True},
        },
        "scene": {
            "encoder": {"family": "conv_scene", "image_size": 32, **CONV}, "compressor": {"name": "mean", "tokens": 2},
        },
        "voice": {
            "encoder": {"family": "conv_voice", "bands": 16, **CONV}, "compressor": {"name": "attn_pool", **voice},
        },
        "words": {
            "encoder": {"family": "text", "vocab_size": VOCAB, "width": 16, "layers": 1},
            "compressor": {"name": "attn_pool", "tokens": 0, "summary": True}, "projector": {"times": False},
        },
    }  # fmt: skip
    values = {
        "text_config": {"vocab_size": VOCAB, "bos_token_id": None, "eos_token_id": 1, "pad_token_id": 0, **LLMS[llm]},
        "streams": streams, "features": {"bands": 16},
        "prefusion": {"name": prefusion} if isinstance(prefusion, str) else prefusion,
    }  # fmt: skip
    return CuewiseConfig(**(values | changes))


def tiny_model(seed: int = 0, **options) -> CuewiseForConditionalGeneration:
    """A model from `tiny_config(**options)` in eval mode, with every zero weight replaced, so that all parts count."""
    torch.manual_seed(seed)
    model = CuewiseForConditionalGeneration(tiny_config(**options)).eval()
    with torch.no_grad():
        for weight in model.media.parameters():
            if not weight.any():
                weight.normal_(std=0.3)
    return model


def tiny_processor(config: CuewiseConfig | None = None) -> CuewiseProcessor:
    """The processor that belongs to `config` (by default `tiny_config()`)."""
    return CuewiseProcessor.from_config(config or tiny_config(), tiny_tokenizer())


def tiny_media(seed: int = 0, streams: tuple[str, ...] = STREAMS, seconds: float = 1.0, frames: int = 5) -> Media:
    """A clip of noise with exactly these streams; every other face is not found."""
    random = np.random.default_rng(seed)
    pictures = random.integers(0, 255, (frames, 24, 20, 3), dtype=np.uint8)
    times = np.linspace(0, seconds, frames, endpoint=False, dtype=np.float32)
    found = np.arange(frames) % 2 == 0
    track = FaceTrack(
        boxes=np.full((frames, 4), 2, np.float32), scores=np.ones(frames, np.float32),
        crops=random.integers(0, 255, (frames, 24, 24, 3), dtype=np.uint8) * found[:, None, None, None], found=found,
    )  # fmt: skip
    has_picture = "face" in streams or "scene" in streams
    return Media(
        duration_s=seconds, frames=pictures if "scene" in streams else None,
        frame_times_s=times if has_picture else None, face=track if "face" in streams else None,
        samples=(random.standard_normal(int(seconds * 16_000)) * 0.1).astype(np.float32)
        if "voice" in streams else None,
        transcript="we won, pitch higher" if "words" in streams else None,
    )  # fmt: skip


def tiny_inputs(seed: int = 0) -> dict[str, torch.Tensor]:
    """One clip with all streams and its prompt, as keyword arguments of the tiny model."""
    processor = tiny_processor()
    clip = processor.tensors(tiny_media(seed))
    ids = processor.prompt_ids(build(clip.streams, transcript="we won"), processor.num_tokens(clip))
    return {"input_ids": torch.tensor([ids]), **processor.collate([clip])}


def tokenizer_of_others(size: int) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer with `size` ids and none of our tokens."""
    plain = Tokenizer(models.BPE())
    plain.pre_tokenizer, plain.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=["<eos>"], initial_alphabet=alphabet, show_progress=False
    )
    plain.train_from_iterator(TEXTS * 8, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=plain, eos_token="<eos>", pad_token="<eos>")
