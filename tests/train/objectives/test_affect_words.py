"""Answers with placed words and contrasted explanations: the head learns known words only, and needs its lexicon."""

import json

import pytest
import torch
from tiny import tiny_media, tiny_model, tiny_processor

from cuewise.data_recipes.schema import Row
from cuewise.mllm.adapters.mose import MoseConfig
from cuewise.mllm.config_tools import from_dict
from cuewise.mllm.report import Cue
from cuewise.mllm.taxonomy.lexicon import lexicon_at
from cuewise.train.curriculum import StageConfig
from cuewise.train.data import Mixture
from cuewise.train.examples import Example
from cuewise.train.losses import IGNORE, word_place_loss
from cuewise.train.objectives.affect_words import AffectWords, AffectWordsConfig, Explanations
from cuewise.train.parallel import HardwareConfig, Parallel
from cuewise.train.stages import add_adapters, train_stage

TEXTS = {"happy": "She beams with delight.", "sad": "Her gaze is empty, tears fall."}


def example(i: int, label: str, clip: int) -> Example:
    cue = Cue(channel="voice", start=0.1, end=0.9, observation="pitch higher", supports=[label])
    row = Row(id=f"e{i}", corpus="t", labels=[label], media={"video": f"{clip}.mp4"}, cues=[cue],
              reasoning=f"{TEXTS[label]} {'xyzw'[clip] * 8}")  # fmt: skip
    return Example(row, tiny_processor().tensors(tiny_media(clip, streams=("voice", "face"))), 1.0, "t")


EXAMPLES = [example(i, ("happy", "sad")[i % 2], i // 2) for i in range(8)]
"""Four clips, each explained for two emotions."""


@pytest.fixture
def lexicon(tmp_path) -> str:
    path = tmp_path / "vad.tsv"
    path.write_text("delight\t0.9\t0.7\t0.6\nempty\t0.2\t0.1\t0.2\ntears\t0.1\t0.4\t0.1\nhappy\t1\t0.7\t0.7\n")
    lexicon_at.cache_clear()
    return str(path)


def stage(steps: int, **options) -> StageConfig:
    return from_dict(StageConfig, {
        "objective": "affect_words", "options": options, "trains": ["llm", "voice", "face"],
        "loop": {"steps": steps, "batch_size": 8, "lr": 0.01, "warmup_steps": 2, "log_every": 1, "save_every": steps},
        "mixture": {"weights": {"a": 1.0}, "augment": {"voice": False, "pictures": False}, "stream_dropout": 0.0,
                    "explained_share": 1.0},
    })  # fmt: skip


def run(config: StageConfig, folder, model=None) -> list[dict]:
    train_stage("s", config, model or tiny_model(), tiny_processor(), {"a": EXAMPLES}, {}, folder, 0,
                parallel=Parallel(HardwareConfig(device="cpu")))  # fmt: skip
    return [json.loads(line) for line in (folder / "checkpoints/log.jsonl").read_text().splitlines()]


def test_places_and_triples_are_learnt_beside_the_answer(lexicon, tmp_path):
    log = run(stage(60, lexicon=lexicon), tmp_path)
    for key in ("s/answer_loss", "s/vad/loss", "s/triple/loss"):
        assert sum(line[key] for line in log[-5:]) < 0.6 * sum(line[key] for line in log[:5]), key
    assert log[-1]["s/triple/right"] > 0.7 and log[0]["s/media_rows"] > 0 and log[0]["s/vad/words"] > 0


def test_the_options_of_answers_count_here_too(tmp_path):
    """Tasks, the heads' loss, and experts with their regulariser."""
    from dataclasses import replace

    plain = stage(1, contrast=0.0)
    found = {}
    for name, changes in {"plain": {}, "heads": {"head_weight": 0.5}, "tasks": {"tasks": {"transcribe": 1.0}}}.items():
        (found[name],) = run(replace(plain, **changes), tmp_path / name)
    assert found["heads"]["s/loss"] > found["plain"]["s/loss"]
    assert found["heads"]["s/answer_loss"] == found["plain"]["s/answer_loss"]
    assert found["tasks"]["s/task/fallback"] == 1
    model, config = tiny_model(), replace(plain, trains=[], experts=MoseConfig(r=2, balance=1.0))
    add_adapters(model, {"s": config}, 0)
    (line,) = run(config, tmp_path / "experts", model)
    assert line["s/loss"] == pytest.approx(line["s/answer_loss"] + line["s/balance_loss"], rel=1e-4)
    assert line["s/balance_loss"] > 0


def test_without_a_lexicon_there_is_no_head_and_the_rest_learns(tmp_path):
    lexicon_at.cache_clear()
    log = run(stage(2, lexicon=str(tmp_path / "gone.tsv")), tmp_path)
    assert not [key for key in log[-1] if "vad" in key] and log[-1]["s/triple/loss"] > 0


def test_the_loss_ignores_words_that_the_lexicon_does_not_know():
    predicted = torch.tensor([[[1.0, 0.0, 0.0], [9.0, 9.0, 9.0], [5.0, 5.0, 5.0]]], requires_grad=True)
    target = torch.tensor([[[0.0, 0.0, 0.0], [float("nan")] * 3, [0.0, 0.0, 0.0]]])
    loss, stats = word_place_loss(predicted, target, torch.tensor([[True, True, False]]))
    loss.backward()
    assert loss.item() == pytest.approx(1 / 3) and stats["count"] == 1
    assert predicted.grad[0, 1:].abs().sum() == 0
    assert word_place_loss(predicted, torch.full_like(target, float("nan")), torch.ones(1, 3).bool())[0] == 0


def test_places_stand_at_the_answers_words(lexicon):
    objective = AffectWords(AffectWordsConfig(lexicon=lexicon), tiny_model(), tiny_processor())
    mixture = Mixture({"a": EXAMPLES}, stage(1).mixture, tiny_processor())
    batch = objective.batch(mixture, 4, torch.Generator().manual_seed(0))
    known = ~batch.places.isnan().any(-1)
    assert known.any(1).all() and not (known & (batch.labels == IGNORE)).any()
    for i in range(4):
        pieces = tiny_processor().tokenizer.decode(batch.input_ids[i][known[i]]).replace(" ", "")
        for word in ("delight", "empty", "tears", "happy"):
            pieces = pieces.replace(word, "")
        assert not pieces


def test_wrong_explanations_are_of_another_emotion_of_the_same_clip_and_of_another_clip():
    known, generator = Explanations({"a": EXAMPLES}), torch.Generator().manual_seed(0)
    for row in known.listed:
        emotion, clip = known.of_another_emotion(row, generator), known.of_another_clip(row, generator)
        assert emotion.labels != row.labels and emotion.media == row.media and clip.media != row.media
    cue = Cue(channel="voice", observation="pitch higher")
    same = [Row(id=f"s{i}", corpus="t", labels=[label], cues=[cue]) for i, label in enumerate(("happy", "sad", "sad"))]
    told = Explanations({"a": [Example(row, EXAMPLES[0].tensors, 1.0, "t") for row in same]})
    assert told.of_another_emotion(same[0], generator) is None and told.of_another_clip(same[1], generator) is None
    alone = Explanations({"a": EXAMPLES[:1]})
    assert alone.of_another_clip(alone.listed[0], generator) is None
