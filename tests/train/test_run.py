import pytest

from cuewise.mllm.config_tools import from_dict, override
from cuewise.train.dpo import DPOConfig
from cuewise.train.grpo_config import GRPOConfig
from cuewise.train.run import main
from cuewise.train.sft import recipe_values


@pytest.mark.parametrize(("name", "config"), [("nano-grpo", GRPOConfig), ("nano-dpo", DPOConfig)])
def test_shipped_recipes_of_other_kinds_are_read(name, config):
    read = from_dict(config, override(recipe_values(name), ["loop.steps=7", "init=somewhere"]))
    assert read.name == name and read.loop.steps == 7 and read.init == "somewhere"
    with pytest.raises(ValueError, match=r"did you mean `loop\.steps`"):
        from_dict(config, override(recipe_values(name), ["loop.stepz=7"]))


def test_an_unknown_kind_is_an_error(tmp_path):
    (tmp_path / "mine.yaml").write_text("kind: grop\nname: mine\n")
    with pytest.raises(ValueError, match="unknown kind of recipe `grop`; known: sft, grpo, dpo, critic, talk"):
        main(str(tmp_path / "mine.yaml"))


def test_a_recipe_without_a_kind_is_supervised_tuning():
    with pytest.raises(ValueError, match=r"stages\.answers\.loop\.steps"):
        main("nano", ["stages.answers.loop.stepz=3"])
    with pytest.raises(ValueError, match="neither a file nor a shipped recipe"):
        main("nanoo")


@pytest.mark.parametrize(
    ("name", "assignment", "message"),
    [("nano-grpo", "policy.clip_high=-1", "clip_high be > 0"), ("nano-grpo", "policy.kl_weight=-1", "kl_weight must"),
     ("nano-dpo", "preference.beta=-1", "beta must be > 0"), ("nano-dpo", "preference.smoothing=0.5", "smoothing is")],
)  # fmt: skip
def test_numbers_of_the_wrong_sign_are_refused(name, assignment, message):
    with pytest.raises(ValueError, match=message):
        from_dict(GRPOConfig if name == "nano-grpo" else DPOConfig, override(recipe_values(name), [assignment]))


def test_rewards_that_all_weigh_nothing_are_refused():
    values = recipe_values("nano-grpo") | {"rewards": {"format": 0.0, "ew": 0.0}}
    values["policy"] = values["policy"] | {"cue_credit": 0.0}
    with pytest.raises(ValueError, match="every reward weighs nothing"):
        from_dict(GRPOConfig, values)
