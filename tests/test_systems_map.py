"""The page of published systems: every file it names is there, and every line that picks a mechanism picks one."""

import argparse
import re
from collections import Counter
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import pytest
import yaml

import cuewise.mllm.compressors
import cuewise.mllm.encoders
import cuewise.mllm.fusion  # noqa: F401  registers the mechanisms
from cuewise.commands import data, train
from cuewise.data_recipes.corpora import CORPORA
from cuewise.data_recipes.made import MADE
from cuewise.eval.measures import MEASURES
from cuewise.eval.suites.suite import Condition, Dataset, suite_names
from cuewise.mllm.config_tools import from_dict
from cuewise.mllm.heads import HeadsConfig
from cuewise.mllm.media import MediaConfig
from cuewise.mllm.registry import COMPRESSORS, ENCODERS, FUSIONS
from cuewise.mllm.systems.base import WAYS
from cuewise.serve.schema import EmotionOptions
from cuewise.train.curriculum import BUILT_IN, LEVELS, TASKS, DifficultyConfig, StageConfig
from cuewise.train.dpo import PreferenceConfig
from cuewise.train.examples import SourceConfig
from cuewise.train.objectives import OBJECTIVES
from cuewise.train.rewards import rewards
from cuewise.train.rewards.readers import LOADERS
from cuewise.train.run import KINDS

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "systems-map.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in PAGE.splitlines()
        if line.startswith("| ") and not line.startswith("| system")]  # fmt: skip
SYSTEMS = (
    "EMER", "AffectGPT v1", "AffectGPT", "AffectGPT-R1", "Emotion-LLaMA v2", "MMEVerse", "XEmoGPT", "AVERE", "MoSEAR",
    "CA-MER", "Omni-Emotion", "VidEmo", "Emotion-Qwen", "Nano-EmoX", "StimuVAR", "SEVLM", "EmotionIC", "S4D", "HiCMAE",
    "VAEmo", "IFDD", "UniEmoX", "Don't Judge Before You CLIP", "Latent-OFER", "CAGE", "Aff-Wild2", "Team RAS",
    "Revisiting Emotions Representation", "Facial-R1", "ExpLLM", "EmoCaliber", "PRC-Emo", "RLVER", "MM-RLHF", "CUT",
    "FLR", "HEART", "HEF", "MME-Emotion", "MVEI", "EmoNet-Voice", "EmoLLMs", "EmoSet", "EMOTIC", "EmotionTalk", "CPED",
    "BAH", "SEWA", "LongEmotion", "EICAP", "TONE", "Emo Pillars", "EmoVid", "VideoMind", "MMEB-V3", "USER-VLM 360",
    "Traits Run Deep", "LEIA", "OMG-Empathy", "EmotionPrompt", "NegativePrompt", "MOSSBench", "Beyond No",
)  # fmt: skip


def quoted(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def names(config: type) -> set[str]:
    return {field.name for field in fields(config)}


def inside(known, *, field: str | None = None):
    """A check that a value, or a field of it, is known."""
    return lambda value: value in known if field is None else value[field] in known and value


def encoder(value):
    """The config of an encoder, with what the page leaves out: whose weights, and around which encoder."""
    more = {"scene_person": {"inner": {"family": "conv_scene"}}, "hf_vision": {"hf": CLIP},
            "vad_text": {"vocab_size": 8}}  # fmt: skip
    return ENCODERS.config({**value, **more.get(value["family"], {})}, "encoder")


CHECKS = {
    "prefusion": inside(FUSIONS.names(), field="name"), "compressor": inside(COMPRESSORS.names(), field="name"),
    "encoder": encoder, "objective": inside((*BUILT_IN, *OBJECTIVES.names())), "level": inside(LEVELS),
    "tasks": lambda value: set(value) <= set(TASKS),
    "kind": inside(KINDS), "rewards": lambda value: set(value) <= set(rewards()),
    "readers": lambda value: set(value) <= set(LOADERS), "preference": lambda value: from_dict(PreferenceConfig, value),
    "heads": lambda value: set(value) <= names(HeadsConfig), "media": lambda value: from_dict(MediaConfig, value),
    "difficulty": lambda value: from_dict(DifficultyConfig, value),
    "conditions": lambda value: [from_dict(Condition, changes) for changes in value.values()],
    "gaps": lambda value: all(len(pair) == 2 for pair in value.values()) and "gaps" in names(Dataset),
}  # fmt: skip
CLIP = {"model_type": "clip_vision_model", "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 8,
        "num_attention_heads": 2, "image_size": 224, "patch_size": 32}  # fmt: skip
OPTIONS = names(SourceConfig) | names(StageConfig) | set(EmotionOptions.model_fields)


def sub_commands(module) -> dict[str, argparse.ArgumentParser]:
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    return next(action.choices for action in parser._actions if isinstance(action.choices, dict))


def test_every_system_has_its_row_with_something_built_a_way_to_pick_it_and_a_test():
    said = " | ".join(row[0] for row in ROWS)
    assert not [name for name in SYSTEMS if name not in said]
    assert len(ROWS) >= 44 + 15 and all(len(row) == 4 and all(row) for row in ROWS)
    for row in ROWS:
        assert any(path.startswith("tests/") for path in quoted(row[3])), row[0]


def test_every_file_that_is_named_is_there():
    paths = [text for row in ROWS for text in quoted(" ".join(row)) if "/" in text and " " not in text]
    assert len(paths) > 100
    assert not [path for path in paths if not (ROOT / path).is_file()]
    assert all(re.search(r"^def test", (ROOT / path).read_text(), re.M) for path in paths if path.startswith("tests/"))


def test_every_line_of_a_recipe_names_something_that_exists():
    seen, objective = Counter(), None
    for row in ROWS:
        for text in quoted(row[2]):
            if not re.match(r"^[a-z_]+: ", text):
                continue
            for key, value in yaml.safe_load(text).items():
                seen[key] += 1
                if key == "objective":
                    objective = value
                if key == "options":
                    OBJECTIVES.config({"name": objective, **value}, "options")
                elif key in CHECKS:
                    assert CHECKS[key](value), text
                else:
                    assert key in OPTIONS, text
    assert sum(seen.values()) > 50 and len(seen) > 15
    of_no_published_system = {"conclude", "told_actions"}
    assert set(OBJECTIVES.names()) - of_no_published_system <= set(re.findall(r"objective: (\w+)", PAGE))


def test_every_command_names_something_that_exists():
    jobs, recipes = sub_commands(data), train.shipped_recipes()
    known = {"build": CORPORA, "make": MADE}
    for command in re.findall(r"`cuewise ([^`]+)`", PAGE):
        words = command.split()
        if words[0] == "data":
            assert words[1] in jobs and words[2] in known.get(words[1], words), command
        elif words[0] == "eval" and len(words) > 1:
            assert words[1] in (*suite_names(), "compare"), command
        elif words[0] == "train":
            assert words[1] in (*recipes, "audit"), command
    for option in re.findall(r"--option (\w+)=", PAGE):
        assert option in WAYS, option
    for name in re.findall(r"metrics? ((?:`\w+`(?: and )?)+)", PAGE):
        assert set(quoted(name)) <= set(MEASURES), name


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(cuewise\.[\w.]+)`", PAGE))))
def test_every_function_that_is_named_is_there(name):
    try:
        import_module(name)
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        assert hasattr(import_module(module), attribute)
