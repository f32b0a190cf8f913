"""Off-the-shelf families in miniature: random weights, processors and tokenizers made here, saved like real models."""

from pathlib import Path

import torch
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

MARKS = {
    "image_token": "<|image_pad|>", "video_token": "<|video_pad|>", "audio_token": "<|audio_pad|>",
    "vision_bos_token": "<|vision_start|>", "vision_eos_token": "<|vision_end|>",
    "audio_bos_token": "<|audio_start|>", "audio_eos_token": "<|audio_end|>",
}  # fmt: skip
AUDIO_MARKS = {
    "audio_token": "<|AUDIO|>", "audio_bos_token": "<|audio_bos|>", "audio_eos_token": "<|audio_eos|>",
}  # fmt: skip
OTHERS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
IDS = {name: len(OTHERS) + 256 + i for i, name in enumerate(MARKS)}
VOCAB = len(OTHERS) + 256 + len(MARKS)
TEXT = {
    "vocab_size": VOCAB, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "max_position_embeddings": 4096, "bos_token_id": 256, "eos_token_id": 258,
    "pad_token_id": 256, "tie_word_embeddings": False,
}  # fmt: skip
MROPE = {"rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0}}
PIXELS = {"shortest_edge": 56 * 56, "longest_edge": 4 * 56 * 56}
MODEL_TYPES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe", "qwen2_5_omni", "qwen3_omni_moe", "qwen2_audio")


def tokenizer(marks: dict[str, str] = MARKS) -> PreTrainedTokenizerFast:
    """One token per byte, the special tokens after them."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(alphabet)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in (*OTHERS, *marks.values())])
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token=OTHERS[0], eos_token=OTHERS[2], padding_side="left",
        clean_up_tokenization_spaces=False, extra_special_tokens=marks,
    )  # fmt: skip


def vision(patch: int, **changes) -> dict:
    """A vision tower of two layers."""
    return {"depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "patch_size": patch,
            "out_hidden_size": 32, **changes}  # fmt: skip


AUDIO = {"num_mel_bins": 16, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 48, "d_model": 32,
         "output_dim": 32}  # fmt: skip
OMNI_IDS = {"audio_start_token_id": IDS["audio_bos_token"], "user_token_id": 84}
VISION_IDS = {"vision_start_token_id": IDS["vision_bos_token"], "vision_end_token_id": IDS["vision_eos_token"],
              "image_token_id": IDS["image_token"], "video_token_id": IDS["video_token"]}  # fmt: skip
MOE = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "head_dim": 16}


def config(model_type: str):
    """The configuration of one family, as small as it goes."""
    t = transformers
    if model_type == "qwen2_vl":
        tower = {"depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 2, "patch_size": 14, "mlp_ratio": 2}
        return t.Qwen2VLConfig(text_config=TEXT | MROPE, vision_config=tower, **VISION_IDS)
    if model_type == "qwen2_5_vl":
        return t.Qwen2_5_VLConfig(
            text_config=TEXT | MROPE, vision_config=vision(14, fullatt_block_indexes=[1]), **VISION_IDS
        )
    if model_type.startswith("qwen3_vl"):
        made = t.Qwen3VLConfig if model_type == "qwen3_vl" else t.Qwen3VLMoeConfig
        tower = vision(16, deepstack_visual_indexes=[0], num_position_embeddings=64)
        text = TEXT | MROPE | ({"head_dim": 16} if model_type == "qwen3_vl" else MOE)
        return made(text_config=text, vision_config=tower, **VISION_IDS)
    if model_type == "qwen2_5_omni":
        thinker = {
            "text_config": TEXT | MROPE, "vision_config": vision(14, fullatt_block_indexes=[1]), "audio_config": AUDIO,
            "audio_token_index": IDS["audio_token"], "image_token_index": IDS["image_token"],
            "video_token_index": IDS["video_token"], "audio_end_token_id": IDS["audio_eos_token"], **OMNI_IDS,
            "vision_start_token_id": IDS["vision_bos_token"], "vision_end_token_id": IDS["vision_eos_token"],
        }  # fmt: skip
        return t.Qwen2_5OmniConfig(thinker_config=thinker, enable_audio_output=False)
    if model_type == "qwen3_omni_moe":
        thinker = {
            "text_config": TEXT | MROPE | MOE,
            "vision_config": vision(16, deepstack_visual_indexes=[0], num_position_embeddings=64),
            "audio_config": AUDIO | {"downsample_hidden_size": 8}, "audio_token_id": IDS["audio_token"], **OMNI_IDS,
            **VISION_IDS, "audio_end_token_id": IDS["audio_eos_token"],
        }  # fmt: skip
        return t.Qwen3OmniMoeConfig(thinker_config=thinker, enable_audio_output=False)
    audio = {key: value for key, value in AUDIO.items() if key != "output_dim"}
    return t.Qwen2AudioConfig(
        audio_config=audio, text_config={"model_type": "qwen2", **TEXT}, audio_token_index=IDS["audio_token"]
    )


def processor(model_type: str):
    """The processor that belongs to `config(model_type)`."""
    t, patch = transformers, 16 if model_type.startswith("qwen3") else 14
    pictures = {"patch_size": patch, "size": PIXELS}
    hearing = t.WhisperFeatureExtractor(feature_size=16)
    if model_type == "qwen2_audio":
        return t.Qwen2AudioProcessor(
            feature_extractor=hearing, tokenizer=tokenizer(MARKS | AUDIO_MARKS), **AUDIO_MARKS
        )  # this processor brings a chat template of its own
    if "omni" in model_type:
        made = t.Qwen2_5OmniProcessor if model_type == "qwen2_5_omni" else t.Qwen3OmniMoeProcessor
        films = t.Qwen2VLVideoProcessor if model_type == "qwen2_5_omni" else t.Qwen3VLVideoProcessor
        return made(image_processor=t.Qwen2VLImageProcessor(**pictures), video_processor=films(**pictures),
                    feature_extractor=hearing, tokenizer=tokenizer())  # fmt: skip
    if model_type.startswith("qwen3"):
        made, films = t.Qwen3VLProcessor, t.Qwen3VLVideoProcessor
    else:
        made = t.Qwen2VLProcessor if model_type == "qwen2_vl" else t.Qwen2_5_VLProcessor
        films = t.Qwen2VLVideoProcessor
    return made(image_processor=t.Qwen2VLImageProcessor(**pictures), tokenizer=tokenizer(),
                video_processor=films(**pictures))  # fmt: skip


def model(model_type: str, seed: int = 0):
    """The whole model with random weights that are large enough to make every answer its own."""
    made = config(model_type)
    kinds = {
        "qwen2_5_omni": "Qwen2_5OmniForConditionalGeneration",
        "qwen3_omni_moe": "Qwen3OmniMoeForConditionalGeneration", "qwen2_audio": "Qwen2AudioForConditionalGeneration",
    }  # fmt: skip
    torch.manual_seed(seed)
    if model_type in kinds:
        whole = getattr(transformers, kinds[model_type])(made)
    else:
        whole = transformers.AutoModelForImageTextToText.from_config(made)
    with torch.no_grad():
        for weight in whole.parameters():
            if weight.ndim > 1:
                weight.normal_(std=0.2)
    return whole.eval()


def save(model_type: str, folder: Path) -> None:
    """The model and its processor as a hub would have them."""
    model(model_type).save_pretrained(folder)
    processor(model_type).save_pretrained(folder)
