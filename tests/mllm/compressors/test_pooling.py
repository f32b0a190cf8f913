import pytest
import torch

from cuewise.mllm.compressors import CompressorConfig, Projector, ProjectorConfig
from cuewise.mllm.compressors.base import window_members
from cuewise.mllm.compressors.pooling import AttentionPool, MeanPool


def trained(tokens: int = 4, summary: bool = True) -> AttentionPool:
    pool = AttentionPool(CompressorConfig(tokens=tokens, summary=summary), 6)
    with torch.no_grad():
        pool.scorer.weight.normal_()
    return pool


def valid(*lengths: int, width: int | None = None) -> torch.Tensor:
    return torch.arange(width or max(lengths))[None] < torch.tensor(lengths)[:, None]


@pytest.mark.parametrize("kind", [MeanPool, AttentionPool])
@pytest.mark.parametrize("summary", [True, False])
@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 17])
def test_emits_exactly_the_announced_number_of_tokens(kind, summary, length):
    pool = kind(CompressorConfig(tokens=4, summary=summary), 6)
    out = pool(torch.randn(2, length, 6), valid(length, 1), None)
    assert out.mask.sum(1).tolist() == [pool.config.num_tokens(length), pool.config.num_tokens(1)]


def test_attention_pool_equals_mean_before_training():
    config, states, mask = CompressorConfig(tokens=3, summary=True), torch.randn(2, 9, 6), valid(9, 5)
    one, other = AttentionPool(config, 6)(states, mask, None), MeanPool(config, 6)(states, mask, None)
    torch.testing.assert_close(one.tokens, other.tokens)


def test_windows_split_the_valid_states_evenly_and_leave_none_out():
    for length in range(1, 40):
        member = window_members(valid(length, width=41), 8)[0]
        assert member.sum(1).tolist() == [1] * length + [0] * (41 - length)
        sizes = member.sum(0)
        assert len(sizes) == min(8, length) and sizes.min() >= 1 and sizes.max() - sizes.min() <= 1


def test_tokens_stand_in_time_order_with_the_centre_of_their_window():
    times = torch.arange(8.0)[None] * 0.5
    out = MeanPool(CompressorConfig(tokens=4, summary=True), 6)(torch.randn(1, 8, 6), valid(8), times)
    assert out.times_s[0].tolist() == [0.0, 0.25, 1.25, 2.25, 3.25]
    assert out.is_summary.tolist() == [True, False, False, False, False]


def test_padding_changes_nothing():
    pool, states = trained(), torch.randn(1, 7, 6)
    padded = torch.nn.functional.pad(states, (0, 0, 0, 5), value=99.0)
    one, other = pool(states, valid(7), None), pool(padded, valid(7, width=12), None)
    torch.testing.assert_close(one.tokens, other.tokens)


def test_holes_in_the_mask_equal_states_never_given():
    pool, states = trained(), torch.randn(1, 6, 6)
    mask = torch.tensor([[True, False, True, True, False, True]])
    one, other = pool(states, mask, None), pool(states[mask][None], valid(4), None)
    torch.testing.assert_close(one.tokens, other.tokens)


def test_neighbours_change_nothing():
    pool, states, mask = trained(), torch.randn(3, 9, 6), valid(9, 2, 5)
    together = pool(states, mask, None)
    for row, length in enumerate((9, 2, 5)):
        alone = pool(states[row : row + 1, :length], valid(length), None)
        torch.testing.assert_close(together.tokens[row][together.mask[row]], alone.tokens[0])


def test_order_of_states_within_a_window_does_not_matter_but_across_windows_does():
    pool, states = trained(tokens=2, summary=False), torch.randn(1, 8, 6)
    within = states[:, [3, 2, 1, 0, 4, 5, 6, 7]]
    across = states[:, [4, 5, 6, 7, 0, 1, 2, 3]]
    base = pool(states, valid(8), None).tokens
    torch.testing.assert_close(pool(within, valid(8), None).tokens, base)
    torch.testing.assert_close(pool(across, valid(8), None).tokens, base.flip(1))


def test_very_different_scores_in_other_windows_do_not_starve_a_window():
    pool = trained(tokens=2, summary=False)
    states = torch.randn(1, 4, 6)
    states[:, 2:] *= 1e4
    out = pool(states, valid(4), None).tokens[0, 0]
    low, high = states[0, :2].amin(0), states[0, :2].amax(0)
    assert ((out >= low - 1e-4) & (out <= high + 1e-4)).all() and out.any()


def test_a_stream_without_any_token_is_refused():
    with pytest.raises(ValueError, match=r"compressor.tokens must be >= 1"):
        CompressorConfig(tokens=0)
    with pytest.raises(ValueError, match="at least one encoder state"):
        CompressorConfig().num_tokens(0)


def test_projected_rows_depend_on_time_and_are_zero_where_there_is_no_token():
    pool, projector = trained(), Projector(ProjectorConfig(hidden=8), 6, 10, summary=True)
    states, mask = torch.randn(2, 8, 6), valid(8, 2)
    early, late = (projector(pool(states, mask, torch.arange(8.0).expand(2, 8) + at)) for at in (0.0, 5.0))
    assert early.shape == (2, 5, 10) and not early[1, 3:].any()
    assert torch.equal(early[:, 0], late[:, 0]) and not torch.allclose(early[0, 1:], late[0, 1:], atol=1e-3)
