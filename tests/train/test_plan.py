"""The plan: counts of the real model, formulas that agree with what torch counts, and every published recipe."""

import json

import pytest
import torch
from tiny import tiny_inputs, tiny_model
from torch.utils.flop_counter import FlopCounterMode

from cuewise.__main__ import main
from cuewise.commands.train import shipped_recipes
from cuewise.mllm.config_tools import from_dict
from cuewise.mllm.shared_prefix import PackedGroup, PackedLayout
from cuewise.train.curriculum import StageConfig
from cuewise.train.dpo import DPOConfig
from cuewise.train.dry_run import (
    PLANNED,
    dpo_work,
    grpo_work,
    key_bytes,
    media_rows,
    plan_of,
    plan_policy,
    without_gradient,
)
from cuewise.train.grpo_config import GRPOConfig
from cuewise.train.plan import (
    ClipShape,
    Group,
    encoder_positions,
    media_flops,
    parse_gpus,
    parts_of,
    plan_stage,
    row_flops,
    tokens_of,
)
from cuewise.train.published import FOLDER, published_recipes
from cuewise.train.sft import recipe_values

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


def test_stages_that_conclude_or_place_words_run_the_language_model_too():
    model = tiny_model()
    flops = {name: plan_stage("s", stage(objective=name, trains=["llm"]), model).flops
             for name in ("heads", "answers", "conclude", "affect_words")}  # fmt: skip
    assert flops["heads"] < flops["answers"] == flops["conclude"] == flops["affect_words"]


def test_logits_and_buckets_are_counted_by_their_bytes():
    model = tiny_model()
    rows = sum(tokens_of(model, ClipShape()).values())
    one, two = (plan_stage("s", stage(), model, gpus).memory_gib for gpus in ("1xH100", "2xH100"))
    assert one["logits"] * 2**30 == 16 * 4 * rows * model.config.text_config.vocab_size
    assert one["buckets"] == 0 and two["buckets"] == two["gradients"] > 0
    assert plan_stage("s", stage(), model, "2xH100", sharded=True).memory_gib["buckets"] == 0


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


CLIP = ClipShape(seconds=2.0, frames=5, words=7, prompt=10, answer=20)
SOURCES = {"a": {"kind": "rows", "folder": "a.jsonl"}}


def policy_config(kind: type, **options):
    values = {"name": "p", "init": "nano", "sources": SOURCES, "trains": ["llm"], "loop": {"steps": 4, "batch_size": 8}}
    values |= {"rewards": {"format": 1.0}} if kind is GRPOConfig else {}
    return from_dict(kind, values | options)


def policy_model(**options):
    model = tiny_model(**options)
    model.train_only("llm")
    return model


def test_a_row_has_the_positions_and_the_attention_of_a_packed_one():
    group, layout = Group(7, 3, 4), PackedLayout((PackedGroup(7, (4, 4, 4)),))
    assert group.rows == layout.length and group.written == len(layout.predicting())
    seen = int(layout.mask().sum())
    assert group.pairs == seen - group.rows / 2  # half of each position itself


def test_flops_of_a_row_with_few_logits_agree_with_those_torch_counts():
    wide = {"model_type": "llama", "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 4, "tie_word_embeddings": False, "vocab_size": 4096,
            "bos_token_id": None, "eos_token_id": 1, "pad_token_id": 0}  # fmt: skip
    model = tiny_model(text_config=wide)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.language_model(inputs_embeds=torch.randn(1, 120, 256), logits_to_keep=20)
    products, attention = row_flops(model, parts_of(model), [Group(100, 1, 20)], 20)
    assert products + attention == pytest.approx(counter.get_total_flops(), rel=0.1)


@pytest.mark.parametrize(("name", "answers"), [("nano-grpo", 8 * 160), ("nano-dpo", 3 * 120)])
def test_recipes_of_policies_are_planned(name, answers):
    plan = json.loads(plan_of(name, [], "8xH100", as_json=True))
    (found,) = plan["stages"]
    assert {part["name"] for part in found["parts"] if part["trained"]} == {"llm"}
    assert 0 < found["trained"] < 0.1 * found["total"] and found["fits"] and found["step_s"] > 0
    assert found["tokens"]["answers"] == answers and found["tokens"]["face"] > 0 and found["batch"] == 8
    text = plan_of(name, [], "2xA100")
    assert "on 2 x A100" in text and f"answers {answers}" in text and ("token by token" in text) == ("grpo" in name)


def test_a_grpo_step_counts_rollouts_and_every_pass_without_gradient():
    model = policy_model()
    plain = policy_config(GRPOConfig, rollout={"group": 4, "max_tokens": 30})
    work = grpo_work(plain, model, CLIP)
    (group,) = work.row
    assert group == Group(media_rows(model, CLIP) + 10, 4, 30) and sum(work.tokens.values()) == group.rows
    assert work.predicted == 120 and work.clips == 0 and work.keys == key_bytes(model, group.rows)
    media, row = without_gradient(model, CLIP, work.tokens, [group])
    assert media > 0 and work.aside == media + row
    for policy, passes in (({"kl_weight": 0.1}, 2), ({"updates": 2}, 1), ({"updates": 2, "kl_weight": 0.1}, 1.5)):
        options = {"rollout": {"group": 4, "max_tokens": 30}, "policy": policy, "loop": {"steps": 4, "batch_size": 8}}
        found = grpo_work(policy_config(GRPOConfig, **options), model, CLIP)
        assert found.aside == pytest.approx(passes * row + media / policy.get("updates", 1))
        assert found.keeps_reference == ("kl_weight" in policy)


def test_media_that_learns_is_encoded_again_with_the_loss():
    model = policy_model()
    model.train_only("llm", "voice.projector")
    config = policy_config(GRPOConfig, policy={"kl_weight": 0.1})
    work = grpo_work(config, model, CLIP)
    media, row = without_gradient(model, CLIP, work.tokens, work.row)
    assert work.clips == 1 and work.aside == pytest.approx(2 * row + 2 * media)
    positions = encoder_positions(model, CLIP)
    assert media_flops(parts_of(model), work.tokens, positions) > media


def test_logits_are_those_of_answers_and_keys_count_where_they_are_most():
    options = {"precision": "bf16", "sharded": False, "low_frozen": False, "clip": CLIP}
    few = policy_config(GRPOConfig, rollout={"group": 2, "max_tokens": 5}, loop={"steps": 4, "batch_size": 64})
    (plan,) = plan_policy(few, tiny_model(), "2xH100", options)
    vocabulary = tiny_model().config.text_config.vocab_size
    assert plan.memory_gib["logits"] * 2**30 == 16 * 32 * 10 * vocabulary and plan.memory_gib["rollout"] == 0
    cut = policy_config(GRPOConfig, rollout={"group": 2, "max_tokens": 5},
                        loop={"steps": 4, "batch_size": 64, "micro_batches": 64})  # fmt: skip
    (plan,) = plan_policy(cut, tiny_model(), "2xH100", options)
    rows = plan.tokens["answers"] + media_rows(tiny_model(), CLIP) + 10
    one = plan.memory_gib["activations"] + plan.memory_gib["logits"]
    assert plan.memory_gib["rollout"] + one == pytest.approx(32 * key_bytes(tiny_model(), rows) / 2**30)
    assert "reference" not in plan.memory_gib


def test_a_dpo_step_has_the_rows_of_its_method():
    model = policy_model()
    prompt = media_rows(model, CLIP) + 10
    own, once = Group(prompt, 3, 20), Group(prompt, 1, 20)
    plain = dpo_work(policy_config(DPOConfig), model, CLIP)
    media, row = without_gradient(model, CLIP, plain.tokens, [own])
    assert plain.row == [own] and plain.predicted == 60 and plain.clips == 1 and plain.aside == media + row
    avem = dpo_work(policy_config(DPOConfig, preference={"method": "avem"}), model, CLIP)
    blind = without_gradient(model, CLIP, avem.tokens, [Group(10, 3, 20)])[1]
    both = without_gradient(model, CLIP, avem.tokens, [own, once])[1]
    assert avem.row == [own, once] and avem.predicted == 80 and sum(avem.tokens.values()) == own.rows + once.rows
    assert avem.clips == 2 and avem.aside == pytest.approx(2 * media + both + blind)
    alone = {"method": "avem", "input_weight": 0.0, "text_weight": 0.0}
    assert dpo_work(policy_config(DPOConfig, preference=alone), model, CLIP).aside == plain.aside
    cut = dpo_work(policy_config(DPOConfig, preference={"method": "cut"}), model, CLIP)
    judged = without_gradient(model, CLIP, cut.tokens, [once, once])[1]
    assert cut.row == [own] and cut.aside == pytest.approx(3 * media + row + judged)
    assert len(dpo_work(policy_config(DPOConfig, per_row=1), model, CLIP).row) == 1


def test_a_reference_is_a_copy_unless_adapters_can_be_switched_off():
    options = {"precision": "bf16", "sharded": False, "low_frozen": False, "clip": CLIP}
    (full,) = plan_policy(policy_config(DPOConfig), tiny_model(), "1xH100", options)
    assert full.memory_gib["reference"] == full.memory_gib["gradients"] > 0
    low = policy_config(DPOConfig, trains=[], adapters={"llm": {"r": 2}})
    (plan,) = plan_policy(low, tiny_model(), "1xH100", options)
    assert "reference" not in plan.memory_gib and 0 < plan.trained < full.trained


def test_the_list_names_shipped_and_published_recipes(capsys):
    assert main(["plan", "list"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert names == [*shipped_recipes(), *published_recipes()] and {"nano", "nano-grpo", "nano-dpo"} < set(names)
    assert {recipe_values(name).get("kind", "sft") for name in names} <= set(PLANNED)
