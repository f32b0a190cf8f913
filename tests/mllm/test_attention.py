import logging
import math
import sys
import types
from importlib.util import find_spec

import pytest
import torch
from tiny import tiny_model
from transformers import AttentionInterface

from cuewise.mllm import attention
from cuewise.mllm.attention import NAME, attention_forward, choose, chosen, pick_attention, varlen
from cuewise.mllm.engine.kv import row_groups

GPU = torch.cuda.is_available()


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(attention, "_CHOSEN", None)


def ragged(seed: int, groups: int, dtype=torch.float32):
    """Random sequences whose keys are as many as their queries, or more."""
    draw = torch.Generator().manual_seed(seed)
    count = int(torch.randint(1, 6, (1,), generator=draw))
    rows = torch.randint(1, 18, (count,), generator=draw)
    seen = rows + torch.randint(0, 12, (count,), generator=draw) * torch.randint(0, 2, (count,), generator=draw)
    make = lambda n, heads: torch.randn(int(n), heads, 16, generator=draw).to(dtype)  # noqa: E731
    cu = [torch.nn.functional.pad(sizes.cumsum(0), (1, 0)).int() for sizes in (rows, seen)]
    return make(rows.sum(), 4), make(seen.sum(), 4 // groups), make(seen.sum(), 4 // groups), *cu, rows, seen


def by_hand(q, k, v, rows, seen, causal, scale):
    """Attention in 64 bit, written out sequence by sequence; queries are the end of their sequence."""
    out, groups = [], q.shape[1] // k.shape[1]
    for one_q, one_k, one_v in zip(q.double().split(rows.tolist()), k.double().split(seen.tolist()),
                                   v.double().split(seen.tolist())):  # fmt: skip
        one_k, one_v = one_k.repeat_interleave(groups, 1), one_v.repeat_interleave(groups, 1)
        scores = torch.einsum("qhd,khd->hqk", one_q, one_k) * scale
        if causal:
            place = torch.arange(len(one_q)) + len(one_k) - len(one_q)
            scores = scores.masked_fill(torch.arange(len(one_k)) > place[:, None], -torch.inf)
        out.append(torch.einsum("hqk,khd->qhd", scores.softmax(-1), one_v))
    return torch.cat(out)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_ragged_sequences_equal_attention_written_out_in_64_bit(groups, causal):
    for seed in range(12):
        q, k, v, cu_q, cu_k, rows, seen = ragged(seed, groups)
        scale = None if seed % 2 else 0.3
        got = varlen(q, k, v, cu_q, cu_k, int(rows.max()), int(seen.max()), causal, scale)
        want = by_hand(q, k, v, rows, seen, causal, scale or 1 / math.sqrt(16))
        torch.testing.assert_close(got.double(), want, atol=2e-6, rtol=2e-5)  # sums of 16 to 30 terms in 32 bit


def test_half_precision_errs_no_more_than_plain_half_precision():
    for seed in range(6):
        q, k, v, cu_q, cu_k, rows, seen = ragged(seed, 2, torch.bfloat16)
        want = by_hand(q, k, v, rows, seen, True, 0.25)
        got = varlen(q, k, v, cu_q, cu_k, int(rows.max()), int(seen.max()), True, 0.25)
        rounded = (want.bfloat16().double() - want).norm()
        assert (got.double() - want).norm() <= 2 * rounded + 0.01 * want.norm()


def test_a_packed_row_equals_its_sequences_alone():
    model = tiny_model().language_model
    prompts = [[5, 6, 7, 8], [9] * 11, [10, 11]]
    alone = [model(torch.tensor([ids])).logits[0] for ids in prompts]
    model.set_attn_implementation(NAME)
    cu = torch.tensor([0, 4, 15, 17], dtype=torch.int32)
    positions = torch.cat([torch.arange(len(ids)) for ids in prompts])[None]
    row = torch.tensor([[token for ids in prompts for token in ids]])
    packed = model(row, position_ids=positions, use_cache=False, cu_seq_lens_q=cu,
                   cu_seq_lens_k=cu, max_length_q=11, max_length_k=11).logits[0]  # fmt: skip
    torch.testing.assert_close(packed, torch.cat(alone), atol=1e-5, rtol=1e-4)
    plain = model(torch.tensor([prompts[1]])).logits[0]
    torch.testing.assert_close(plain, alone[1], atol=1e-5, rtol=1e-4)


def test_auto_takes_what_works_here_says_so_and_can_be_asked(caplog):
    assert chosen() is None
    with caplog.at_level(logging.INFO, logger="cuewise.mllm.attention"):
        choice = choose("auto", "cpu")
    assert (choice.name, choice.implementation, chosen()) == ("sdpa", NAME, choice)
    assert "attention: sdpa on cpu (asked for auto); not flash_attention_4" in caplog.text
    assert set(choice.refused) == {"flash_attention_4", "flash_attention_3", "flash_attention_2", "torch_varlen"}


def test_a_language_model_uses_what_was_chosen_for_it():
    model = tiny_model().language_model
    attention.set_attention(model)
    assert model.config._attn_implementation == NAME and chosen().asked == "auto"
    attention.set_attention(model, "eager")
    assert model.config._attn_implementation == "eager"
    with pytest.raises(ImportError, match="flash_attention_2 cannot run on cpu"):
        attention.set_attention(model, "flash_attention_2")


def test_rows_in_groups_see_what_all_rows_together_see():
    draw = torch.Generator().manual_seed(2)
    module = types.SimpleNamespace(num_key_value_groups=2, training=False)
    lengths = [300, 20, 30, 28, 500, 490]
    q, k, v = (torch.randn(6, heads, n, 16, generator=draw) for heads, n in ((4, 1), (2, 512), (2, 512)))
    mask = (torch.arange(512) <= torch.tensor(lengths)[:, None])[:, None, None]
    groups = row_groups(lengths, 32)
    assert [group[:2] for group in groups] == [(0, 1), (1, 4), (4, 6)]
    want = attention_forward(module, q, k, v, mask)[0]
    torch.testing.assert_close(attention_forward(module, q, k, v, mask, row_groups=groups)[0], want)


@pytest.mark.parametrize("name", ["sdpa", "eager"])
def test_an_explicit_kernel_is_kept(name):
    assert pick_attention(name, "cpu") == name
    assert chosen().name == name


def test_a_kernel_that_cannot_run_is_an_error_with_the_fix():
    with pytest.raises(ImportError, match=r"flash_attention_2 cannot run on cpu .* pip install cuewise\[flash\]"):
        pick_attention("flash_attention_2", "cpu")
    with pytest.raises(ImportError, match=r"torch_varlen cannot run on cpu .* on a CUDA GPU, or use `auto`"):
        pick_attention("torch_varlen", "cpu")


def test_an_unknown_kernel_is_an_error():
    with pytest.raises(ValueError, match="unknown attention `flash_attention`; did you mean `flash_attention_"):
        pick_attention("flash_attention")


def fake_flash(monkeypatch, function, module="flash_attn"):
    """An installed flash-attention whose kernel is `function`; a device is pretended by the CPU being asked as one."""
    fake = types.ModuleType(module)
    fake.flash_attn_varlen_func = function
    monkeypatch.setitem(sys.modules, module, fake)


def reference_flash(
    q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k, dropout_p=0.0, softmax_scale=None, causal=False,
):  # fmt: skip
    """The argument order of flash-attn 2; refuses what the real one refuses."""
    assert cu_seqlens_q.dtype == cu_seqlens_k.dtype == torch.int32 and dropout_p == 0.0
    assert max_seqlen_q == int(cu_seqlens_q.diff().max()) and max_seqlen_k == int(cu_seqlens_k.diff().max())
    return attention._sdpa_loop(
        q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k, causal, softmax_scale
    )


@pytest.mark.parametrize(("module", "load"), [
    ("flash_attn", attention._load_flash_2), ("flash_attn_interface", attention._load_flash_3),
    ("flash_attn.cute", attention._load_flash_4),
])  # fmt: skip
def test_flash_attention_gets_its_arguments_in_its_own_order(monkeypatch, module, load):
    fake_flash(monkeypatch, reference_flash, "flash_attn")
    fake_flash(monkeypatch, reference_flash, module)
    q, k, v, cu_q, cu_k, rows, seen = ragged(3, 2)
    facts = (q, k, v, cu_q, cu_k, int(rows.max()), int(seen.max()), True, 0.3)
    torch.testing.assert_close(load()(*facts), attention._sdpa_loop(*facts))


def test_an_answer_with_statistics_is_unpacked(monkeypatch):
    fake_flash(monkeypatch, lambda q, *_, **__: (q, "log-sum-exp"))
    assert attention._load_flash_2()(torch.ones(2, 1, 4), None, None, None, None, 2, 2, True, None).shape == (2, 1, 4)


def test_flash_attention_on_a_machine_without_a_gpu_is_passed_over(monkeypatch):
    fake_flash(monkeypatch, reference_flash)
    assert choose("auto", "cpu").name == "sdpa"
    assert "needs a CUDA GPU" in chosen().refused["flash_attention_2"]


def test_a_kernel_that_gives_other_values_is_passed_over(monkeypatch):
    """The trial is the same on every device; here the torch kernel stands in, which needs no GPU check."""
    wrong = attention._Provider(lambda: lambda q, *_: q * 0, "")
    right = attention._Provider(lambda: lambda *facts: attention._sdpa_loop(*facts) + 1e-6, "")
    monkeypatch.setattr(attention, "PROVIDERS", {"wrong": wrong, "right": right, **attention.PROVIDERS})
    choice = choose("auto", "cpu")
    assert (choice.name, choice.implementation) == ("right", NAME)
    assert "other values" in choice.refused["wrong"]


def test_the_implementation_is_registered_with_the_library():
    assert AttentionInterface()[NAME] is attention_forward


@pytest.mark.skipif(not GPU, reason="needs a CUDA GPU")
@pytest.mark.parametrize("name", [name for name in attention.PROVIDERS if name != "sdpa"])
def test_kernels_agree_on_a_gpu(name):
    if name.startswith("flash") and find_spec("flash_attn") is None:
        pytest.skip(f"{name} is not installed")
    q, k, v, cu_q, cu_k, rows, seen = ragged(1, 2, torch.bfloat16)
    facts = [t.cuda() if isinstance(t, torch.Tensor) else t for t in
             (q, k, v, cu_q, cu_k, int(rows.max()), int(seen.max()), True, 0.3)]  # fmt: skip
    got = attention.PROVIDERS[name].load()(*facts)
    torch.testing.assert_close(got, attention._sdpa_loop(*facts), atol=0.02, rtol=0.02)
