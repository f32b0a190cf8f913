"""Media is lost in one place at a time; every time the gate names the stream and the samples."""

from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from grpo_samples import clips, prompted, trained_model, with_media
from tiny import tiny_processor

from cuewise.mllm.engine.base import SamplingParams
from cuewise.mllm.media_tokens import MediaTokens
from cuewise.mllm.tensors import ClipTensors
from cuewise.train.media_gate import MediaLostError, count_rows, expected_rows, watched
from cuewise.train.packing import pack_answers
from cuewise.train.rollout import SharedPrefixRollout, roll_out

SLOTS = ("face", "scene", "voice", "words", "fused")  # those of the tiny model


def rollout(model, prompts):
    return roll_out(model, SharedPrefixRollout(model, None, [1]), prompts, 2, SamplingParams(max_tokens=2), [0] * 3)


def loss_pass(model, prompts, stage="loss"):
    row = pack_answers(prompts)
    with watched(stage, model, row, prompts) as totals:
        model(**row.inputs, media_tokens=[prompt.media for prompt in prompts])
    return totals


def without(media, slot):
    tokens = {name: rows for name, rows in media.tokens.items() if name != slot}
    return MediaTokens(tokens=tokens)


def zeroed(media, slot):
    return MediaTokens(tokens={name: rows * (name != slot) for name, rows in media.tokens.items()})


@contextmanager
def rows_lost_on_the_way(model, slot):
    """The rows of one stream become the placeholder's own embedding when the prompt is put together."""
    plain = model.prompt_rows

    def lossy(input_ids, media_tokens=None):
        rows = plain(input_ids, media_tokens)
        here = torch.as_tensor(input_ids) == model.plan.tokens.placeholders[slot]
        return torch.where(here[:, None], model.get_input_embeddings()(torch.as_tensor(input_ids)), rows)

    model.prompt_rows = lossy
    try:
        yield
    finally:
        del model.prompt_rows


def test_honest_passes_count_every_row():
    model = trained_model()
    prompts = prompted(model)
    rollout(model, prompts)
    totals = loss_pass(model, prompts)
    assert totals == {slot: sum(p.expected.get(slot, 0) for p in prompts) for slot in [*SLOTS, "context"]}
    assert totals["voice"] == 10 and totals["fused"] == 3


@pytest.mark.parametrize("slot", SLOTS)
def test_media_that_is_lost_anywhere_is_an_error_with_stream_and_sample(slot):
    model = trained_model()
    prompts = prompted(model)
    error = pytest.raises(MediaLostError, match=rf"{slot} has 0 .*samples clip0")
    reaches = {"voice": "clip0, clip1", "fused": "clip0, clip1, clip2", "scene": "clip0"}.get(slot, "clip0, clip2")

    # 1. The batch of the encoders has lost the stream.
    if slot != "fused":
        batch = {k: v for k, v in tiny_processor().collate(clips()).items() if not k.startswith(slot)}
        with pytest.raises(MediaLostError, match=f"rollout: {slot} has 0 rows from the encoder .*samples {reaches}"):
            rollout(model, with_media(prompts, model.encode(batch)))
    # 2. The encoder's rows are lost between encoding and rollout.
    with error:
        rollout(model, with_media(prompts, [without(p.media, slot) for p in prompts]))
    # 3. The prompt has no place for the stream.
    place = model.plan.tokens.placeholders[slot]
    blind = [replace(p, prompt=[token for token in p.prompt if token != place]) for p in prompts]
    with pytest.raises(MediaLostError, match=f"rollout: {slot} has 0 placeholders in the prompt"):
        rollout(model, with_media(blind, [without(p.media, slot) for p in prompts]))
    # 4. The rows are zeros, or never written over the placeholders, in the rollout.
    with error:
        rollout(model, with_media(prompts, [zeroed(p.media, slot) for p in prompts]))
    with rows_lost_on_the_way(model, slot), error:
        rollout(model, prompts)
    # 5. and 6. The same in the loss pass and in the reference pass.
    for stage in ("loss", "reference"):
        found = rf"{stage}: {slot} has 0 rows with media at the language model's input .*samples {reaches}"
        with rows_lost_on_the_way(model, slot), pytest.raises(MediaLostError, match=found):
            loss_pass(model, prompts, stage)
        with pytest.raises(MediaLostError, match=rf"{stage}: {slot} has 0 rows from the encoder"):
            loss_pass(model, with_media(prompts, [without(p.media, slot) for p in prompts]), stage)


def test_a_pass_that_never_calls_the_language_model_is_an_error():
    model = trained_model()
    prompts = prompted(model)
    with pytest.raises(MediaLostError, match="reference: the language model was never called; samples clip0, clip1"):
        with watched("reference", model, pack_answers(prompts), prompts):
            pass


def test_a_pass_that_is_given_another_row_is_an_error():
    model = trained_model()
    prompts = prompted(model)
    row, other = pack_answers(prompts), pack_answers(prompts[1:2])
    with pytest.raises(MediaLostError, match="loss: face has 0 rows with media"), watched("loss", model, row, prompts):
        model(**other.inputs, media_tokens=[prompts[1].media])


def test_a_stream_that_the_recipe_requires_must_be_there():
    model = trained_model()
    clip = clips()[1]
    assert set(expected_rows(model.plan, clip, ["voice"])) == {"voice", "fused"}
    with pytest.raises(MediaLostError, match="sample 'a' has no face, which the recipe requires"):
        expected_rows(model.plan, clip, ["voice", "face"], "a")
    assert expected_rows(model.plan, ClipTensors()) == {}


def test_only_rows_with_content_of_their_own_count():
    table, ids = torch.randn(10, 4), torch.tensor([3, 7, 7, 7, 2])
    rows = torch.randn(5, 4)
    rows[1], rows[2] = 0.0, table[7]
    assert count_rows(ids, rows, table, {"voice": 7, "face": 8}) == {"voice": 1}
