"""The tokenizer: byte-level pairs, digits one by one, and the tokens that structure prompts and answers.

Structural tokens are special: text is always encoded with special tokens split, so nobody can write one. The answer
tags are ordinary tokens, because the model writes them.
"""

from collections.abc import Iterable
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

PAD, END, USER, ASSISTANT, MEDIA_END = "<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "<|media_end|>"
_SLOTS = ("face", "scene", "voice", "words", "fused", "context")
PLACEHOLDERS = {slot: f"<|{slot}|>" for slot in _SLOTS}
BEGINS = {slot: f"<|{slot}_begin|>" for slot in _SLOTS}
LATER_SLOTS = ("context",)
"""Slots that older tokenizers have no tokens for; models that were trained with these have no such stream."""

SPECIAL_TOKENS = (PAD, END, USER, ASSISTANT, *PLACEHOLDERS.values(), *BEGINS.values(), MEDIA_END)
TAG_TOKENS = ("<think>", "</think>", "<answer>", "</answer>", "<confidence>", "</confidence>")
MIN_VOCAB = 256 + len(SPECIAL_TOKENS) + len(TAG_TOKENS)


def train_tokenizer(texts: Iterable[str], vocab_size: int = 4096) -> PreTrainedTokenizerFast:
    """Byte-level pair encoding from `texts`; the special tokens have the ids 0, 1, 2, ... in their order."""
    if vocab_size < MIN_VOCAB:
        raise ValueError(f"vocab_size must be >= {MIN_VOCAB} (256 bytes and our own tokens), got {vocab_size}")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(TAG_TOKENS), special_tokens=list(SPECIAL_TOKENS), show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )  # fmt: skip
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, eos_token=END, padding_side="left",
        clean_up_tokenization_spaces=False,
    )  # fmt: skip
    add_structure(fast)
    return fast


def add_structure(tokenizer: PreTrainedTokenizerBase) -> int:
    """Give any tokenizer our special tokens and answer tags; returns how many ids are new.

    A language model that was trained with the tokenizer needs its embeddings resized when this is not 0.
    """
    before = len(tokenizer)
    extra = [name for name in SPECIAL_TOKENS if name not in (tokenizer.pad_token, tokenizer.eos_token)]
    tokenizer.add_tokens([AddedToken(name, special=True, normalized=False) for name in extra], special_tokens=True)
    tokenizer.add_tokens([AddedToken(name, special=False, normalized=False) for name in TAG_TOKENS])
    return len(tokenizer) - before


def token_ids(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """`cuewise.mllm.streams.TokenIds` of a tokenizer, as a mapping. Raises ValueError where a token is missing."""

    known = tokenizer.get_vocab()
    slots = [slot for slot in _SLOTS if slot not in LATER_SLOTS or {PLACEHOLDERS[slot], BEGINS[slot]} <= known.keys()]

    def identify(name: str) -> int:
        found = known.get(name)
        if found is None:
            raise ValueError(f"the tokenizer has no token {name}; call add_structure(tokenizer) first")
        return found

    return {
        "pad": identify(PAD), "end": identify(END), "user": identify(USER), "assistant": identify(ASSISTANT),
        "placeholders": {slot: identify(PLACEHOLDERS[slot]) for slot in slots},
        "begins": {slot: identify(BEGINS[slot]) for slot in slots}, "media_end": identify(MEDIA_END),
    }  # fmt: skip


def number_ids() -> list[int]:
    """The ids of 0 to 9 and of the decimal point in every tokenizer made by `train_tokenizer`."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    return [len(SPECIAL_TOKENS) + alphabet.index(sign) for sign in "0123456789."]


def default_token_ids() -> dict[str, Any]:
    """The ids in every tokenizer made by `train_tokenizer`."""
    at = SPECIAL_TOKENS.index
    return {
        "pad": at(PAD), "end": at(END), "user": at(USER), "assistant": at(ASSISTANT),
        "placeholders": {slot: at(name) for slot, name in PLACEHOLDERS.items()},
        "begins": {slot: at(name) for slot, name in BEGINS.items()}, "media_end": at(MEDIA_END),
    }  # fmt: skip
