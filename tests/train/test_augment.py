"""Variations keep times, presence and labels what they were."""

import torch

from cuewise.data_recipes.action_words import in_words, tells_actions
from cuewise.data_recipes.schema import Row
from cuewise.mllm.encoders.features import PROSODY
from cuewise.mllm.evidence.face_actions import MIRRORED
from cuewise.mllm.tensors import ClipTensors, StreamTensors
from cuewise.train.augment import AugmentConfig, augment, mix_voices, varied_context


def voice(length: int = 120) -> ClipTensors:
    values = torch.randn(length, 64 + len(PROSODY), generator=torch.Generator().manual_seed(0))
    return ClipTensors({"voice": StreamTensors(values, 3 + torch.arange(length) * 0.01)})


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_stretched_voice_still_spans_the_same_seconds():
    lengths = set()
    for seed in range(8):
        stream = augment(voice(), AugmentConfig(stretch=0.2), seeded(seed)).streams["voice"]
        assert len(stream.values) == len(stream.times_s) and stream.values.isfinite().all()
        assert float(stream.times_s[0]) == 3.0 and abs(float(stream.times_s[-1]) - 4.19) < 1e-5
        assert (stream.times_s.diff() >= 0).all()
        lengths.add(len(stream.values))
    assert len(lengths) > 3


def test_fitted_voices_all_have_the_asked_length():
    for length in (40, 200, 333):
        stream = augment(voice(length), AugmentConfig(frames=150), seeded()).streams["voice"]
        assert len(stream.values) == len(stream.times_s) == 150 and stream.mask.all()


def test_without_spread_only_noise_remains():
    still = AugmentConfig(stretch=0, warp=0, shift=0, masks=0, gain=0)
    varied = augment(voice(), still, seeded(3)).streams["voice"]
    changed = varied.values[:, :64] - voice().streams["voice"].values[:, :64]
    tilt = changed - changed.mean(0, keepdim=True)
    assert float(tilt.abs().max()) < 1e-4  # what is left is one tilt over the bands, the same in every frame


def test_a_mirrored_face_turns_the_other_way():
    actions = torch.full((16, len(MIRRORED)), 0.5)
    clip = ClipTensors({"face": StreamTensors(actions, torch.arange(16.0))})
    signs = set()
    for seed in range(12):
        values = augment(clip, AugmentConfig(), seeded(seed)).streams["face"].values
        turned = MIRRORED < 0
        assert (values[:, ~turned] > 0).all()
        signs.add(bool((values[:, turned] < 0).all()))
    assert signs == {True, False}


def test_mixed_voices_are_mixed_where_both_have_sound():
    values = torch.stack([torch.full((6, 2), 1.0), torch.full((6, 2), 3.0)])
    mask = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    for seed in range(20):
        streams = {"voice_values": values.clone(), "voice_mask": mask}
        partner, share = mix_voices(streams, AugmentConfig(mixup=1.0), seeded(seed))
        assert ((share >= 0.5) & (share <= 1)).all()
        if partner.tolist() == [1, 0]:
            wanted = share[0] + 3 * (1 - share[0])
            torch.testing.assert_close(streams["voice_values"][0, :4], torch.full((4, 2), float(wanted)))
            assert (streams["voice_values"][0, 4:] == 1).all()
            return
    raise AssertionError("no seed of twenty swapped two clips")


def test_nothing_is_mixed_without_being_asked():
    assert mix_voices({"voice_mask": torch.ones(2, 3, dtype=torch.bool)}, AugmentConfig(), seeded()) is None


def test_measured_actions_in_a_context_vary_and_other_contexts_do_not():
    aus = {"AU12": 2.5, "AU6": 1.5, "AU4": 0.0}
    row = Row(id="a", corpus="t", labels=["happy"], aus=aus, context=in_words(aus), transcript="x")
    shown = {varied_context(row, AugmentConfig(context_share=1.0), seeded(seed)) for seed in range(6)}
    assert len(shown) > 3 and all("lip corner" in text or "AU12" in text for text in shown)
    ours = {varied_context(row, AugmentConfig(context_share=1.0, rewording=0.0), seeded(seed)) for seed in range(40)}
    assert all(tells_actions(text) for text in ours)
    others = {varied_context(row, AugmentConfig(context_share=1.0, rewording=1.0), seeded(seed)) for seed in range(40)}
    assert not any(tells_actions(text) for text in others)
    more = row.model_copy(update={"context": f"{in_words(aus)} Voice: even. She sits."})
    shown = {varied_context(more, AugmentConfig(context_share=1.0), seeded(seed)) for seed in range(12)}
    assert len(shown) > 6 and all(text.endswith(" Voice: even. She sits.") for text in shown)
    said = row.model_copy(update={"context": "She has just arrived."})
    assert varied_context(said, AugmentConfig(context_share=1.0), seeded()) == "She has just arrived."
    assert varied_context(row, AugmentConfig(context_share=0.0), seeded()) is None
