"""Examples as they lie in the cache: nothing in them depends on the tokenizer that made them."""

import pytest
import torch
from tiny import VOCAB, tiny_config, tiny_media, tiny_tokenizer

from cuewise.data_recipes.schema import Row
from cuewise.mllm.processing import CuewiseProcessor
from cuewise.mllm.tokenizer import train_tokenizer
from cuewise.train.examples import _pack, _unpack

CONTEXT = "pitch clearly higher"


def processor(tokenizer) -> CuewiseProcessor:
    plain = tiny_config().streams
    context = {**plain["words"], "encoder": {**plain["words"]["encoder"], "max_tokens": 32}}
    return CuewiseProcessor.from_config(tiny_config(streams={**plain, "context": context}), tokenizer)


@pytest.mark.parametrize("told", [CONTEXT, None])
@pytest.mark.parametrize("old", [False, True])
def test_a_cached_context_is_read_with_the_tokenizer_of_whoever_loads_it(old, told):
    first, second = processor(tiny_tokenizer()), processor(train_tokenizer(["other words", "igh arl itc"] * 4, VOCAB))
    media = tiny_media(0, streams=("voice", "words"))
    media.context = told
    row = Row(id="a", corpus="t", labels=["happy"], transcript=media.transcript, context=CONTEXT)
    made = first.tensors(media)
    packed = _pack(row, made, 1.0)
    assert set(packed["streams"]) == {"voice"}
    if old:  # as caches were written before
        del packed["told"]
        if told:
            packed["streams"]["context"] = {"values": made.streams["context"].values, "times_s": None, "mask": None}
    again = _unpack(packed, "s", second).tensors
    wanted = second.tensors(media)
    assert {*again.streams} == {*wanted.streams} and ("context" in again.streams) == (told is not None)
    for name in {"words", "context"} & {*wanted.streams}:
        assert torch.equal(again.streams[name].values, wanted.streams[name].values)
    if told:
        assert not torch.equal(again.streams["context"].values, made.streams["context"].values)
