"""A tiny model, prompts with media and answers to them, shared by the tests of packing, rollouts and GRPO."""

from dataclasses import replace

import torch
from peft import LoraConfig, inject_adapter_in_model
from tiny import tiny_media, tiny_model, tiny_processor

from cuewise.mllm.prompts import build
from cuewise.mllm.shared_prefix import use_kernel
from cuewise.train.media_gate import expected_rows
from cuewise.train.packing import Prompted

STREAM_SETS = (("face", "scene", "voice", "words"), ("voice",), ("face", "words"))


def trained_model(kernel: str = "sdpa", llm: str = "qwen3"):
    """LoRA on the language model; projectors and pre-fusion trained; everything else frozen."""
    model = tiny_model(llm=llm)
    target = ["c_attn", "c_proj", "c_fc"] if llm == "gpt2" else ["q_proj", "k_proj", "v_proj", "o_proj", "up_proj"]
    model.requires_grad_(False)
    inject_adapter_in_model(LoraConfig(r=4, target_modules=target, lora_dropout=0.0), model.language_model)
    for name, weight in model.named_parameters():
        trained = "lora_" in name or ".projector." in name or ".fusion." in name
        weight.requires_grad_(trained)
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    use_kernel(model.language_model, kernel)
    return model


def clips(count: int = 3):
    """`ClipTensors` with different streams and lengths."""
    processor = tiny_processor()
    return [processor.tensors(tiny_media(i, STREAM_SETS[i % 3], seconds=0.6 + 0.2 * i, frames=3 + i))
            for i in range(count)]  # fmt: skip


def prompted(model, answers: int = 3, count: int = 3, seed: int = 0) -> list[Prompted]:
    """Prompts with encoded media, and random answers of different lengths."""
    processor, generator = tiny_processor(), torch.Generator().manual_seed(seed)
    tensors = clips(count)
    with torch.no_grad():
        media = model.encode(processor.collate(tensors))
    found = []
    for index, clip in enumerate(tensors):
        parts = build(clip.streams, "explained", transcript="we won" if "words" in clip.streams else None)
        lengths = torch.randint(1, 9, (answers,), generator=generator).tolist()
        found.append(Prompted(
            id=f"clip{index}", prompt=processor.prompt_ids(parts, processor.num_tokens(clip)),
            answers=[torch.randint(20, 300, (n,), generator=generator).tolist() for n in lengths],
            media=media[index], expected=expected_rows(model.plan, clip),
        ))  # fmt: skip
    return found


def with_media(prompts: list[Prompted], media) -> list[Prompted]:
    """The prompts with other encoded media."""
    return [replace(prompt, media=tokens) for prompt, tokens in zip(prompts, media, strict=True)]
