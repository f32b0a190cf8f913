"""A committee of voice networks: members that learn for themselves and agree by their mean."""

import pytest
import torch
from tiny import CONV, tiny_config, tiny_media, tiny_model, tiny_processor

from cuewise.mllm.heads import CommitteeHead, HeadsConfig
from cuewise.mllm.registry import ENCODERS

MEMBERS = [{"bands": 16, **CONV}, {"bands": 16, **CONV, "width": 24}]


def committee(members: list[dict] | None = None):
    return ENCODERS.build({"family": "voice_committee", "members": members or MEMBERS}).eval()


def test_states_are_those_of_the_members_side_by_side():
    encoder = committee()
    values, mask = torch.randn(2, 40, 16), torch.ones(2, 40, dtype=torch.bool)
    states = encoder(values, mask, None).states
    assert states.shape == (2, 5, 40) and encoder.config.parts == [16, 24]
    torch.testing.assert_close(states[..., 16:], encoder.members[1](values, mask, None).states)


def test_the_reading_is_the_mean_of_what_the_members_read():
    torch.manual_seed(0)
    head = CommitteeHead([3, 5], HeadsConfig(dropout=0.0)).eval()
    states, mask = torch.randn(4, 6, 8), torch.ones(4, 6, dtype=torch.bool)
    alone = [member(part, mask) for member, part in zip(head.members, states.split([3, 5], -1))]
    read = head(states, mask)
    torch.testing.assert_close(read.logits, sum(one.logits.log_softmax(-1) for one in alone) / 2)
    torch.testing.assert_close(read.va, (alone[0].va + alone[1].va) / 2)


def test_while_training_each_clip_teaches_one_member():
    torch.manual_seed(0)
    head = CommitteeHead([3, 5], HeadsConfig(dropout=0.0)).train()
    states, mask = torch.randn(64, 6, 8, requires_grad=True), torch.ones(64, 6, dtype=torch.bool)
    head(states, mask).logits.square().sum().backward()
    reached = torch.stack([part.abs().sum((1, 2)) > 0 for part in states.grad.split([3, 5], -1)])
    assert (reached.sum(0) == 1).all() and 16 < reached[0].sum() < 48


def test_a_model_reads_voices_with_a_committee():
    streams = tiny_config().streams
    streams["voice"] = {**streams["voice"], "encoder": {"family": "voice_committee", "members": MEMBERS}}
    model = tiny_model(streams=streams)
    processor = tiny_processor(model.config)
    encoded = model.encode(processor.collate([processor.tensors(tiny_media(streams=("voice",)))]))[0]
    assert encoded.counts["voice"] == 5 and encoded.readings["voice"].logits.isfinite().all()


@pytest.mark.parametrize(("members", "message"), [
    ([], "needs at least one member"),
    ([{"bands": 16}, {"bands": 32}], r"read the same bands, got \[16, 32\]"),
    ([{"bands": 16, "widht": 8}], r"unknown option `voice_committee\.members\.0\.widht`; did you mean"),
])  # fmt: skip
def test_members_that_do_not_fit_are_refused(members, message):
    with pytest.raises(ValueError, match=message):
        ENCODERS.build({"family": "voice_committee", "members": members})
