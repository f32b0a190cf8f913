"""The plan: counts of the real model, formulas that agree with what torch counts, and every published recipe."""

import json

import pytest
import torch
from tiny import tiny_inputs, tiny_model
from torch.utils.flop_counter import FlopCounterMode

from cuewise.mllm.config_tools import from_dict
from cuewise.train.curriculum import StageConfig
from cuewise.train.dry_run import plan_of
from cuewise.train.plan import ClipShape, parse_gpus, parts_of, plan_stage, tokens_of
from cuewise.train.published import FOLDER, published_recipes

PARAMETERS = {  # billions, language model and encoders, from the model cards
    "affectgpt-7b": {"llm": 7.62, "face.encoder": 0.303, "voice.encoder": 0.315},
    "emotion-llama-v2": {"llm": 6.74, "voice.encoder": 0.637},
    "r1-omni-0.5b": {"llm": 0.494, "scene.encoder": 0.093, "voice.encoder": 0.637},
    "nano-emox-2.2b": {"llm": 1.544, "scene.encoder": 0.303, "voice.encoder": 0.315},
    "xemogpt-4b": {"llm": 4.02, "scene.encoder": 0.303, "voice.encoder": 0.315},
    "avere-7b": {"llm": 6.74, "scene.encoder": 0.303, "voice.encoder": 0.637},
}


FULL = ("r1-omni-0.5b", "avere-7b")
"""Those that train the language model in full; in the others the trained weights of it are the low-rank factors."""


def stage(**options) -> StageConfig:
    values = {"trains": ["llm"], "loop": {"steps": 10, "batch_size": 4}, "mixture": {"weights": {"a": 1.0}}}
    return from_dict(StageConfig, values | options)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_published_recipes_pass_on_the_meta_device_with_the_sizes_of_their_parts(name):
    plan = json.loads(plan_of(name, [], "8xH100", as_json=True))
    for found in plan["stages"]:
        parts = {part["name"]: part for part in found["parts"]}
        for part, billions in PARAMETERS[name].items():
            adapted = part == "llm" and name not in FULL
            low_rank = max(p["trained"] for s in plan["stages"] for p in s["parts"] if p["name"] == "llm")
            own = parts[part]["total"] - (low_rank if adapted else 0)
            assert own / 1e9 == pytest.approx(billions, rel=0.012), part
        assert 0 < found["trained"] < found["total"] and found["fits"] and found["step_s"] > 0
        assert all(rows > 0 for rows in found["tokens"].values())


def test_every_published_recipe_is_listed_and_tested():
    assert set(published_recipes()) == set(PARAMETERS) == {path.stem for path in FOLDER.glob("*.yaml")}
    assert all(len(says) > 20 for says in published_recipes().values())


def test_parts_are_counted_once_and_in_full():
    model = tiny_model(llm="llama")
    model.train_only("fusion", "voice.projector")
    parts = parts_of(model)
    assert sum(part.total for part in parts) == sum(weight.numel() for weight in model.parameters())
    trained = {part.name for part in parts if part.trained}
    assert trained == {"fusion", "voice.projector"}


def test_rows_are_those_the_model_makes():
    model, clip = tiny_model(), ClipShape(seconds=2.0, frames=5, words=7, prompt=10, answer=20)
    assert tokens_of(model, clip) == model.plan.num_tokens(
        {"face": 5, "scene": 5, "voice": 200, "words": 7}
    ) | {"text": 30}


@pytest.mark.parametrize("full", [True, False])
def test_flops_agree_with_those_torch_counts(full):
    """Within a tenth: the formula leaves norms, the shares of softmax and single small layers out."""
    wide = {"model_type": "llama", "hidden_size": 384, "intermediate_size": 1024, "num_hidden_layers": 6,
            "num_attention_heads": 4, "num_key_value_heads": 4, "tie_word_embeddings": False, "vocab_size": 384,
            "bos_token_id": None, "eos_token_id": 1, "pad_token_id": 0}  # fmt: skip
    model = tiny_model(text_config=wide)
    config = stage(trains=["llm"] if full else ["fused_head"], loop={"steps": 1, "batch_size": 1})
    plan = plan_stage("s", config, model)
    model.train_only(*config.trains)
    ids = tiny_inputs()["input_ids"]
    ids = torch.randint(20, 300, (1, sum(plan.tokens.values())), generator=torch.Generator().manual_seed(0))
    rows = model.get_input_embeddings()(ids).detach().requires_grad_()
    with FlopCounterMode(display=False) as counter:
        model.language_model(inputs_embeds=rows).logits.sum().backward()
    others = plan.flops - counter.get_total_flops()
    assert abs(others) / counter.get_total_flops() < 0.1


def test_memory_follows_what_is_trained_and_how_it_is_shared():
    model = tiny_model()
    weights = sum(weight.numel() for weight in model.parameters())
    llm = sum(weight.numel() for weight in model.language_model.parameters())
    one = plan_stage("s", stage(), model, "1xH100").memory_gib
    assert one["weights"] * 2**30 == 4 * weights and one["optimizer"] * 2**30 == 8 * llm
    low = plan_stage("s", stage(trains=["fused_head"]), model, "1xH100", low_frozen=True).memory_gib
    assert low["weights"] < one["weights"] and low["gradients"] < one["gradients"]
    shared = plan_stage("s", stage(), model, "4xH100", sharded=True).memory_gib
    assert shared["optimizer"] == pytest.approx(one["optimizer"] / 4)
    again = stage(loop={"steps": 1, "batch_size": 4, "gradient_checkpointing": True})
    assert plan_stage("s", again, model, "1xH100").memory_gib["activations"] < one["activations"]
    halved = stage(loop={"steps": 1, "batch_size": 4, "micro_batches": 2})
    assert plan_stage("s", halved, model, "1xH100").memory_gib["logits"] == pytest.approx(one["logits"] / 2)


def test_a_batch_that_does_not_divide_is_planned_with_the_nearest():
    assert plan_stage("s", stage(loop={"steps": 1, "batch_size": 3}), tiny_model(), "8xA100").batch == 8


@pytest.mark.parametrize(
    ("text", "message"),
    [("8xH101", "unknown GPU 'H101'; did you mean `H100`"), ("H100x8x", "unknown GPU"),
     ("8*", "not of the form 8xH100"), ("0xH100", "at least one GPU")],
)  # fmt: skip
def test_gpus_that_do_not_exist_are_named(text, message):
    with pytest.raises(ValueError, match=message):
        parse_gpus(text)
    assert parse_gpus("8xh100") == (8, "H100") and parse_gpus("RTX4090") == (1, "RTX4090")


def test_the_shipped_recipe_is_planned():
    text = plan_of("nano", [], "2xA100")
    assert "voice.encoder" in text and "on 2 x A100" in text and "fits" in text
