"""Distillation from a model of pictures and texts: nothing to learn from equal similarities, and it learns the rest."""

import json

import numpy as np
import pytest
import tiny
import torch
from transformers import CLIPConfig, CLIPModel

from cuewise.data_recipes.schema import Row
from cuewise.mllm.config_tools import from_dict
from cuewise.train.contrastive import similarity_distillation
from cuewise.train.curriculum import StageConfig
from cuewise.train.data import Mixture, MixtureConfig
from cuewise.train.examples import Example
from cuewise.train.objectives.distil import Distil, DistilConfig, Teacher
from cuewise.train.parallel import HardwareConfig, Parallel
from cuewise.train.stages import train_stage
from cuewise.train.validation import PLAIN

CONV = {"family": "conv_scene", "image_size": 32, "channels": [8, 8, 8, 8], "width": 16}
SMALL = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("clip")
    tokenizer = tiny.tokenizer_of_others(300)
    torch.manual_seed(0)
    model = CLIPModel(CLIPConfig(
        text_config={**SMALL, "vocab_size": 300, "eos_token_id": 0, "max_position_embeddings": 40},
        vision_config={**SMALL, "image_size": 16, "patch_size": 8}, projection_dim=12,
    ))  # fmt: skip
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.5) if weight.ndim > 1 else None
    model.save_pretrained(folder)
    tokenizer.model_max_length = 40
    tokenizer.save_pretrained(folder)
    return str(folder)


def model_with() -> torch.nn.Module:
    streams = dict(tiny.tiny_config().streams)
    streams["scene"] = streams["scene"] | {"encoder": {"family": "scene_person", "inner": CONV}}
    return tiny.tiny_model(streams=streams)


def examples(processor) -> list[Example]:
    made = []
    for i in range(6):
        media = tiny.tiny_media(i, streams=("scene",))
        media.frames[:] = media.frames[:1] // 2 + np.array([20 * i, 120 - 20 * i, 10 * i], np.uint8)
        media.person_box = (2 + i, 4, 12 + i, 12)
        row = Row(id=f"e{i}", corpus="t", labels=[["happy", "sad", "angry"][i % 3]], media={"image": f"{i}.png"})
        made.append(Example(row, processor.tensors(media), 1.0, "t"))
    return made


def test_of_grey_pictures_the_teacher_sees_the_scene_alone(teacher, monkeypatch):
    streams = dict(tiny.tiny_config().streams)
    grey = {"family": "scene_person", "inner": CONV | {"colour": False}}
    streams["scene"] = streams["scene"] | {"encoder": grey}
    model = tiny.tiny_model(streams=streams)
    processor = tiny.tiny_processor(model.config)
    objective = Distil(DistilConfig(teacher=teacher), model, processor)
    seen = []
    monkeypatch.setattr(Teacher, "pictures", lambda self, values, mask: seen.append(values) or torch.eye(12)[:6])
    clips = examples(processor)
    mixture = Mixture({"a": clips}, MixtureConfig(weights={"a": 1.0}, augment=PLAIN), processor)
    batch = objective.batch(mixture, 6, torch.Generator().manual_seed(0))
    objective.loss(model, batch)
    assert seen[0].shape[-1] == 1 and torch.equal(seen[0], batch.streams["scene_values"][..., :1])


def test_equal_similarities_leave_nothing_to_learn():
    told = torch.randn(5, 5)
    assert similarity_distillation(told.clone(), told, 0.07).item() == pytest.approx(0, abs=1e-6)
    assert similarity_distillation(told.roll(1, 0), told, 0.07).item() > 0.1


def test_a_stream_learns_the_teachers_similarities_through_the_stage_runner(teacher, tmp_path):
    model = model_with()
    processor = tiny.tiny_processor(model.config)
    config = from_dict(StageConfig, {
        "objective": "distil", "options": {"teacher": teacher, "pair": 0.5, "text": "a person who feels {}"},
        "trains": ["scene"],
        "loop": {"steps": 60, "batch_size": 6, "lr": 0.01, "warmup_steps": 2, "log_every": 1, "save_every": 60},
        "mixture": {"weights": {"a": 1.0}, "augment": {"pictures": False}},
    })  # fmt: skip
    train_stage("s", config, model, processor, {"a": examples(processor)}, {}, tmp_path, 0,
                parallel=Parallel(HardwareConfig(device="cpu")))  # fmt: skip
    log = [json.loads(line) for line in (tmp_path / "checkpoints/log.jsonl").read_text().splitlines()]
    for key in ("s/distil/loss", "s/pair/loss"):
        assert sum(line[key] for line in log[-5:]) < 0.6 * sum(line[key] for line in log[:5]), key
    saved = torch.load(tmp_path / "checkpoints/s.pt", weights_only=True)["model"]
    assert any(name.startswith("objective.project") for name in saved) and not any("teacher" in name for name in saved)


def test_the_teachers_pictures_are_means_over_a_clips_frames_and_padding_says_nothing(teacher):
    told = Teacher(teacher)
    values = torch.randint(0, 255, (2, 3, 20, 20, 3), dtype=torch.uint8)
    mask = torch.tensor([[True, True, False], [True, False, False]])
    seen = told.pictures(values, mask)
    torch.testing.assert_close(seen.norm(dim=1), torch.ones(2))
    values[0, 2], values[1, 1:] = 0, 0
    torch.testing.assert_close(told.pictures(values, mask), seen)
    torch.testing.assert_close(told.pictures(values[1:, :1], mask[1:, :1]), seen[1:])


def test_what_does_not_fit_is_named(teacher, tmp_path):
    model = tiny.tiny_model()
    with pytest.raises(ValueError, match="use the encoder scene_person"):
        Distil(DistilConfig(teacher=teacher, pair=1.0), model, tiny.tiny_processor())
    with pytest.raises(ValueError, match=r"options\.teacher .* cannot be loaded"):
        Distil(DistilConfig(teacher=str(tmp_path / "gone")), model, tiny.tiny_processor())
    with pytest.raises(ValueError, match=r"must hold \{\} for the description"):
        DistilConfig(teacher=teacher, text="a person")
