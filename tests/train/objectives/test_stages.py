"""Objectives picked in a stage of a recipe: each learns on tiny data through the stage runner, and leaves nothing."""

import pytest
import torch
from tiny import tiny_config, tiny_media, tiny_model, tiny_processor

from cuewise.data_recipes.schema import Row
from cuewise.mllm.config_tools import from_dict
from cuewise.train.checkpoints import Checkpoints
from cuewise.train.curriculum import StageConfig
from cuewise.train.examples import Example
from cuewise.train.objectives import OBJECTIVES
from cuewise.train.parallel import HardwareConfig, Parallel
from cuewise.train.stages import add_adapters, objective_of, stage_loss, train_stage
from cuewise.train.tracking import matches

LABELS = ("happy", "sad", "angry", "fearful", "surprised", "disgust")
PLAIN = {"weights": {"a": 1.0}, "augment": {"voice": False, "pictures": False}}


def example(i: int, streams=("face", "voice"), **row) -> Example:
    values = {"id": f"e{i}", "corpus": "t", "labels": [LABELS[i % len(LABELS)]], "media": {"video": "x.mp4"}}
    return Example(Row(**(values | row)), tiny_processor().tensors(tiny_media(i, streams=streams)), 1.0, "t")


def stage(objective: str, trains: list[str], steps: int = 60, **options) -> StageConfig:
    loop = {"steps": steps, "batch_size": 6, "lr": 0.01, "warmup_steps": 2, "log_every": 1, "schedule": "constant",
            "save_every": steps, "weight_decay": 0.0}  # fmt: skip
    loop |= options.pop("loop", {})
    mixture = options.pop("mixture", PLAIN)
    return from_dict(StageConfig, {"objective": objective, "trains": trains, "options": options, "loop": loop,
                                   "mixture": mixture})  # fmt: skip


def trained(config: StageConfig, examples: list[Example], tmp_path, model=None) -> tuple[list[dict], torch.nn.Module]:
    """The stage's log and the model after it."""
    import json

    model = model or tiny_model()
    parallel = Parallel(HardwareConfig(device="cpu"))
    train_stage("s", config, model, tiny_processor(model.config), {"a": examples}, {}, tmp_path, 0, parallel=parallel)
    lines = (tmp_path / "checkpoints" / "log.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines], model


def mean(log: list[dict], key: str, places: slice) -> float:
    values = [line[key] for line in log[places] if key in line]
    return sum(values) / len(values)


FALLS = {
    "contrast between streams": ("contrastive", ["face", "voice"], {}, "s/face-voice/contrast"),
    "contrast with what is written": ("contrastive", ["face", "voice"], {"against": "text"}, "s/clip-text/contrast"),
    "contrast of rows": ("contrastive", ["face", "voice"], {"at": "rows", "against": "both"}, "s/loss"),
    "hidden steps of a voice": ("masked", ["voice"], {"streams": ["voice"], "ratio": {"voice": 0.5}}, "s/voice/mse"),
    "hidden patches of a face": ("masked", ["face"], {"streams": ["face"], "ratio": {"face": 0.5}}, "s/face/mse"),
    "guided face": ("heatmap", ["face", "heads"], {"weight": 3.0}, "s/loss"),
}  # fmt: skip


@pytest.mark.parametrize("case", FALLS)
def test_it_learns_on_tiny_data_and_the_model_keeps_its_parts(case, tmp_path):
    objective, trains, options, key = FALLS[case]
    names = set(tiny_model().state_dict())
    log, model = trained(stage(objective, trains, **options), [example(i) for i in range(6)], tmp_path)
    assert mean(log, key, slice(-5, None)) < 0.85 * mean(log, key, slice(0, 5))
    assert set(model.state_dict()) == names and not hasattr(model, "objective")
    logged = {name.removeprefix("s/") for line in log for name in line if name.startswith("s/")}
    assert not [name for name in logged if not [*matches(name)]]


def test_every_objective_is_tried_here_or_in_a_file_of_its_own():
    elsewhere = {"affect_words", "conclude", "dialogue", "distil", "told_actions"}
    assert {case[0] for case in FALLS.values()} | elsewhere == set(OBJECTIVES.names())


def test_retrieval_by_text_rises_on_descriptions_and_not_on_shuffled_ones(tmp_path):
    texts = ["tears and a low voice", "a broad smile", "shouting loudly", "wide open eyes", "a wrinkled nose", "calm"]
    right = [example(i, reasoning=texts[i]) for i in range(6)]
    config = stage("contrastive", ["face", "voice"], against="text")
    log, _ = trained(config, right, tmp_path / "right")
    assert mean(log, "s/retrieval", slice(-5, None)) > 0.8 > mean(log, "s/retrieval", slice(0, 2))
    wrong = [example(i % 6, reasoning=texts[i // 6]) for i in range(36)]
    log, _ = trained(config, wrong, tmp_path / "wrong")
    assert mean(log, "s/retrieval", slice(-15, None)) < 0.6


def test_clips_that_are_described_in_the_same_words_are_not_held_against_each_other():
    from cuewise.train.data import Mixture

    model = tiny_model()
    config = stage("contrastive", ["face", "voice"], against="text")
    objective = objective_of("s", config, model, tiny_processor(), 0)

    def loss_of(*texts: str) -> tuple[float, float]:
        clips = [example(i, reasoning=text) for i, text in enumerate(texts)]
        mixture = Mixture({"a": clips}, config.mixture, tiny_processor())
        batch = objective.batch(mixture, len(texts), torch.Generator().manual_seed(0))
        with torch.no_grad():
            loss, stats = objective.loss(model, batch)
        return float(loss), stats["retrieval"]

    assert loss_of("a smile", "a smile", "a smile") == (0.0, 1.0) and loss_of("a smile", "tears")[0] > 0


def test_an_interrupted_stage_goes_on_with_the_weights_of_its_objective(tmp_path, monkeypatch):
    def save_and_stop(self, progress, *args, **more):
        save(self, progress, *args, **more)
        if progress.step == 3:
            raise KeyboardInterrupt

    examples = [example(i) for i in range(6)]
    config = stage("contrastive", ["face", "voice"], steps=6)
    config.loop.save_every = 3
    whole, at_once = trained(config, examples, tmp_path / "one")
    save = Checkpoints.save
    monkeypatch.setattr(Checkpoints, "save", save_and_stop)
    with pytest.raises(KeyboardInterrupt):
        trained(config, examples, tmp_path / "two")
    again, in_parts = trained(config, examples, tmp_path / "two")
    assert again[-1]["s/loss"] == whole[-1]["s/loss"]
    for name, value in at_once.state_dict().items():
        assert torch.equal(value, in_parts.state_dict()[name]), name


def bridged() -> torch.nn.Module:
    streams = dict(tiny_config().streams)
    streams["voice"] = streams["voice"] | {"compressor": {"name": "bridge_transformer", "tokens": 3}}
    return tiny_model(streams=streams)


def test_a_bridge_reads_hidden_states_from_their_neighbours_and_learns_the_order(tmp_path):
    model = bridged()
    before = {name: value.clone() for name, value in model.media.towers["voice"].encoder.state_dict().items()}
    config = stage("masked", ["voice.compressor"], at="states", streams=["voice"], order=1.0)
    log, model = trained(config, [example(i) for i in range(6)], tmp_path, model)
    assert mean(log, "s/voice/mse", slice(-5, None)) < 0.85 * mean(log, "s/voice/mse", slice(0, 5))
    assert mean(log, "s/voice/order", slice(-5, None)) > 0.9
    assert mean(log, "s/voice/hidden", slice(0, 5)) == pytest.approx(0.5, abs=0.1)
    after = model.media.towers["voice"].encoder.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_what_is_hidden_is_what_was_asked_and_the_rest_decides_the_answer():
    from cuewise.train.data import Mixture

    model = tiny_model()
    for share in (0.25, 0.75):
        config = stage("masked", ["face"], streams=["face"], ratio={"face": share}, grid=4)
        model.train_only("face")
        model.objective = objective_of("s", config, model, tiny_processor(), 0)
        mixture = Mixture({"a": [example(i) for i in range(4)]}, config.mixture, tiny_processor())
        batch = model.objective.batch(mixture, 4, torch.Generator().manual_seed(0))
        _, stats = stage_loss(model, batch, config)
        assert float(stats["face/hidden"]) == pytest.approx(share)


def test_depths_of_both_encoders_are_compared_and_lambda_zero_leaves_the_errors_alone():
    from cuewise.train.data import Mixture

    found = {}
    for weight in (0.0, 1.0):
        config = stage("masked", ["face", "voice"], streams=["face", "voice"], contrast=weight)
        torch.manual_seed(0)
        model = tiny_model()
        model.train_only("face", "voice")
        model.objective = objective_of("s", config, model, tiny_processor(), 0)
        mixture = Mixture({"a": [example(i) for i in range(6)]}, config.mixture, tiny_processor())
        batch = model.objective.batch(mixture, 5, torch.Generator().manual_seed(0))
        loss, stats = model.eval().objective.loss(model, batch)
        found[weight] = stats
        parts = stats["face/mse"] + stats["voice/mse"] + stats.get("depths/contrast", 0.0)
        torch.testing.assert_close(loss.detach(), parts)
    assert "depths/contrast" not in found[0.0] and found[1.0]["depths/contrast"] > 0
    assert model.objective.depth == 4  # the four stages of both networks


@pytest.mark.parametrize(
    ("objective", "trains", "options", "message"),
    [
        ("contrastve", ["face"], {}, r"unknown objective `contrastve`; did you mean `contrastive`"),
        ("heads", ["face"], {"against": "text"}, "objective `heads` has no options, got against"),
        ("masked", ["face"], {"ratios": {}}, r"unknown option `options\.ratios`; did you mean `options\.ratio`"),
        ("masked", ["face"], {"ratio": {"face": 1.5}}, "shares between 0 and 1"),
        ("masked", ["face"], {"order": 1.0}, r"options\.order shuffles states"),
    ],
)  # fmt: skip
def test_a_wrong_objective_or_option_is_named_when_the_recipe_is_read(objective, trains, options, message):
    with pytest.raises(ValueError, match=message):
        stage(objective, trains, **options)


@pytest.mark.parametrize(
    ("objective", "trains", "options", "message"),
    [
        ("contrastive", ["face"], {"streams": ["face"]}, "stage 's': contrast between streams needs two of them"),
        ("contrastive", ["face"], {"streams": ["smell"]}, "options.streams names `smell`"),
        ("masked", ["llm"], {"streams": ["voice"]}, "voice: hidden inputs teach the encoder, which is frozen here"),
        ("masked", ["voice"], {"at": "states", "streams": ["voice"]}, "use bridge_transformer"),
        ("masked", ["face"], {"streams": ["face"], "grid": 5}, "in a grid that divides them, got options.grid 5"),
        ("heatmap", ["llm"], {}, "guides the face encoder, which is frozen here"),
    ],
)  # fmt: skip
def test_an_objective_that_does_not_fit_the_model_says_what_to_change(objective, trains, options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        trained(stage(objective, trains, **options), [example(0)], tmp_path)


def test_mechanisms_that_want_even_use_add_their_term_while_they_train(tmp_path):
    streams = dict(tiny_config().streams)
    hybrid = {"name": "hybrid_compressor", "tokens": 3, "hidden": 8, "experts": 2}
    streams["voice"] = streams["voice"] | {"compressor": hybrid}
    model = tiny_model(streams=streams)
    config = stage("contrastive", ["voice"], steps=2, at="rows")
    log, _ = trained(config, [example(i) for i in range(4)], tmp_path, model)
    assert log[0]["s/voice.compressor/auxiliary"] >= 0.0099
    model.train_only("llm")
    add_adapters(model, {"s": config}, 0)
    model.train().encode_batch(tiny_processor().collate([example(0).tensors]))
    assert not model.media.auxiliary()
