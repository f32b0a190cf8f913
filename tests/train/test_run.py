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
