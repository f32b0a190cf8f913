"""Ready-made configs."""

from typing import Any

from cuewise.mllm.configuration import CuewiseConfig
from cuewise.mllm.modeling import CuewiseForConditionalGeneration
from cuewise.mllm.tokenizer import default_token_ids, number_ids


def nano_config(vocab_size: int = 4096, tokens: dict[str, Any] | None = None) -> CuewiseConfig:
    """The shipped model: about 8 million weights, trained from nothing.

    Rows for the language model: voice 8 and a summary, face 8 and a summary, scene 2, words 1, context 1, fused 1.

    Args:
        vocab_size: size of the tokenizer; also the rows of the transcript encoder's own table.
        tokens: `token_ids(tokenizer)`; not needed for a tokenizer made by `train_tokenizer`.
    """
    timed, voice = {"hidden": 192}, {"prosody": [24, 32, 48], "keep_level": True}

    def text(max_tokens: int, **more: Any) -> dict[str, Any]:
        return {
            "encoder": {
                "family": "text", "vocab_size": vocab_size, "width": 128, "layers": 2, "max_tokens": max_tokens, **more,
            },
            "compressor": {"name": "attn_pool", "tokens": 0, "summary": True},
            "projector": {"hidden": 192, "times": False},
        }  # fmt: skip

    streams = {
        "face": {
            "encoder": {"family": "face_actions"},
            "compressor": {"name": "attn_pool", "tokens": 8, "summary": True}, "projector": timed,
        },
        "scene": {
            "encoder": {"family": "conv_scene"},
            "compressor": {"name": "mean", "tokens": 2}, "projector": {"hidden": 96},
        },
        "voice": {
            "encoder": {
                "family": "voice_committee", "members": [
                    {"channels": [48, 96, 160, 256], "width": 192, "keep_melody": True, **voice},
                    {"channels": [24, 48, 80, 128], **voice},
                ],
            },
            "compressor": {"name": "attn_pool", "tokens": 8, "summary": True}, "projector": timed,
        },
        "words": text(192), "context": text(288, numbers=number_ids()),
    }  # fmt: skip
    text_config = {
        "model_type": "qwen3", "vocab_size": vocab_size, "hidden_size": 224, "intermediate_size": 512,
        "num_hidden_layers": 5, "num_attention_heads": 7, "num_key_value_heads": 1, "head_dim": 32,
        "max_position_embeddings": 2048, "tie_word_embeddings": True, "initializer_range": 0.02,
        "bos_token_id": None, "eos_token_id": (tokens or default_token_ids())["end"],
        "pad_token_id": (tokens or default_token_ids())["pad"],
    }  # fmt: skip
    return CuewiseConfig(
        text_config=text_config, streams=streams, prefusion={
            "name": "attn2", "hidden": 96, "streams": ["face", "scene", "voice", "words"],
        }, heads={"spoken": True},
        features={"prosody": True}, tokens=tokens,
    )  # fmt: skip


def new_nano(vocab_size: int = 4096, tokens: dict[str, Any] | None = None) -> CuewiseForConditionalGeneration:
    """The shipped model before training: new weights, and the face-action estimator that reads faces for it."""
    model = CuewiseForConditionalGeneration(nano_config(vocab_size, tokens))
    model.media.towers["face"].encoder.load_weights()
    return model
