"""Models of others as a base: weights from a folder, our tokens added, frozen parts in 16 bit, clear refusals."""

import pytest
import torch
from tiny import LLMS, tiny_config, tiny_media, tokenizer_of_others
from transformers import AutoConfig, AutoModelForCausalLM

from cuewise.data_recipes.schema import Row
from cuewise.mllm.config_tools import from_dict
from cuewise.train.base_model import BaseModelConfig, load_base, on_meta
from cuewise.train.curriculum import Curriculum, StageConfig
from cuewise.train.examples import Example
from cuewise.train.stages import add_adapters, choose_parts, stage_loss

SIZE = 300


@pytest.fixture
def llm(tmp_path):
    """A language model of somebody else in a folder, with a tokenizer that knows none of our tokens."""
    tokenizer = tokenizer_of_others(SIZE)
    text = LLMS["llama"] | {"vocab_size": SIZE, "bos_token_id": None, "eos_token_id": 0, "pad_token_id": 0}
    model_type, values = text["model_type"], {key: value for key, value in text.items() if key != "model_type"}
    AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **values)).save_pretrained(tmp_path / "llm")
    tokenizer.save_pretrained(tmp_path / "llm")
    return tmp_path / "llm", text


def base(folder, text, **options) -> BaseModelConfig:
    config = tiny_config()
    streams = {name: dict(stream) for name, stream in config.streams.items() if name != "words"}
    for stream in streams.values():
        stream["frozen"] = True
    weights = {"llm": str(folder)}
    return BaseModelConfig(text=text, streams=streams, features=config.features, weights=weights, **options)


def test_the_weights_are_those_of_the_folder_and_our_tokens_are_new(llm):
    folder, text = llm
    model, processor = load_base(base(folder, text), [])
    theirs = AutoModelForCausalLM.from_pretrained(folder)
    assert len(processor.tokenizer) > SIZE and model.get_input_embeddings().num_embeddings == len(processor.tokenizer)
    assert torch.equal(model.get_input_embeddings().weight[:SIZE], theirs.get_input_embeddings().weight)
    ids = torch.randint(5, SIZE, (1, 7))
    torch.testing.assert_close(model(input_ids=ids).logits[..., 5:SIZE], theirs(input_ids=ids).logits[..., 5:])


def test_frozen_parts_are_in_16_bit_and_what_trains_is_not(llm):
    folder, text = llm
    model, processor = load_base(base(folder, text, dtype="bfloat16"), ["voice.projector"])
    values = {"trains": ["voice.projector"], "adapters": {"llm": {"r": 2}}, "loop": {"steps": 1},
              "mixture": {"weights": {"a": 1.0}, "stream_dropout": 0.0}}  # fmt: skip
    stage = from_dict(StageConfig, values)
    add_adapters(model, {"s": stage}, seed=0)
    choose_parts(model, stage)
    kinds = {weight.dtype for weight in model.parameters() if weight.requires_grad}
    assert kinds == {torch.float32} and model.get_input_embeddings().weight.dtype == torch.bfloat16
    row = Row(id="e", corpus="t", labels=["happy"], votes={"voice": {"happy": 1}})
    example = Example(row, processor.tensors(tiny_media(0, streams=("face", "voice"))), 1.0, "t")
    batch = Curriculum({"a": [example]}, stage, processor).answer_batch(2, torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        loss, stats = stage_loss(model, batch, stage)
    loss.backward()
    assert torch.isfinite(loss) and stats["media_rows"] > 0
    assert all(weight.grad is not None for name, weight in model.named_parameters() if "lora_B" in name)


def test_what_cannot_be_had_or_does_not_fit_is_named(llm, tmp_path):
    folder, text = llm
    with pytest.raises(ValueError, match=r"model\.weights\.llm .*nowhere' cannot be loaded"):
        load_base(base(tmp_path / "nowhere", text), [])
    with pytest.raises(ValueError, match=r"model\.text does not describe"):
        load_base(base(folder, text | {"num_hidden_layers": 3}), [])
    with pytest.raises(ValueError, match=r"unknown part under model\.weights `voices`; did you mean `voice`"):
        BaseModelConfig(text=text, streams={"voice": {}}, weights={"voices": "x"})


def test_on_the_meta_device_nothing_is_allocated(llm):
    folder, text = llm
    model = on_meta(base(folder, text))
    assert {weight.device.type for weight in model.parameters()} == {"meta"}
