"""Packed rows and shared prefixes give what separate rows give, on every kernel, and nothing leaks."""

import pytest
import torch
from tiny import LLMS, tiny_model
from transformers import DynamicCache

from cuewise.mllm.shared_prefix import (
    KERNELS,
    VARLEN,
    PackedAttention,
    PackedGroup,
    PackedLayout,
    PrefixKV,
    SharedPrefixes,
    packed_inputs,
    shared_decode,
    use_kernel,
)

LAYOUT = PackedLayout((PackedGroup(7, (3, 5, 1)), PackedGroup(4), PackedGroup(2, (6,))))
cases = pytest.mark.parametrize(("llm", "kernel"), [(llm, kernel) for llm in LLMS for kernel in KERNELS])


def language_model(llm, kernel):
    model = tiny_model(llm=llm).language_model
    use_kernel(model, kernel)
    return model


def hidden(model, rows, layout):
    out = model(inputs_embeds=rows, output_hidden_states=True, **packed_inputs(model, layout, rows))
    return out.hidden_states[-1][0]


def test_a_layout_knows_positions_and_which_token_predicts_which():
    layout = PackedLayout((PackedGroup(3, (2, 1)), PackedGroup(2)))
    assert layout.length == 8
    assert layout.position_ids().tolist() == [[0, 1, 2, 3, 4, 3, 0, 1]]
    assert layout.predicting() == [2, 3, 2]
    assert layout.mask()[0, 0].long().tolist() == [
        [1, 0, 0, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0, 0, 0],
        [1, 1, 1, 1, 0, 0, 0, 0],
        [1, 1, 1, 1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0, 1, 0, 0],
        [0, 0, 0, 0, 0, 0, 1, 0],
        [0, 0, 0, 0, 0, 0, 1, 1],
    ]


@pytest.mark.parametrize("key_heads", [4, 2, 1])
def test_attention_in_parts_equals_masked_attention_with_gradients(key_heads):
    torch.manual_seed(0)
    q, k, v = (torch.randn(1, LAYOUT.length, heads, 16, dtype=torch.float64).transpose(1, 2).requires_grad_()
               for heads in (4, key_heads, key_heads))  # fmt: skip
    ours = PackedAttention.apply(q, k, v, LAYOUT, 0.25)
    whole = [x.repeat_interleave(4 // key_heads, 1) for x in (k, v)]
    reference = torch.nn.functional.scaled_dot_product_attention(q, *whole, attn_mask=LAYOUT.mask(), scale=0.25)
    torch.testing.assert_close(ours, reference)
    weights = torch.randn_like(ours)
    for got, wanted in zip(*(torch.autograd.grad((out * weights).sum(), (q, k, v)) for out in (ours, reference))):
        torch.testing.assert_close(got, wanted)


def test_the_formula_for_other_devices_equals_the_cpu_kernel():
    from cuewise.mllm import shared_prefix

    q, k, v = (torch.randn(1, heads, 6, 8, dtype=torch.float64) for heads in (4, 2, 2))
    grad = torch.randn(1, 4, 6, 8, dtype=torch.float64)
    for causal in (True, False):
        out, total = shared_prefix.attend(q, k, v, causal, 0.3)
        torch.testing.assert_close(shared_prefix.attend_plain(q, k, v, causal, 0.3), (out, total), check_dtype=False)
        given = (grad, q, k, v, out, total, causal, 0.3)
        torch.testing.assert_close(
            shared_prefix.attend_backward_plain(*given), shared_prefix.attend_backward(*given), check_dtype=False
        )


@cases
def test_a_packed_row_equals_separate_rows(llm, kernel):
    model = language_model(llm, kernel)
    rows = torch.randn(1, LAYOUT.length, 32)
    packed = hidden(model, rows, LAYOUT)
    at = 0
    for group in LAYOUT.groups:
        prefix, at = rows[:, at : at + group.prefix], at + group.prefix
        alone = model(inputs_embeds=prefix, output_hidden_states=True).hidden_states[-1][0]
        torch.testing.assert_close(packed[at - group.prefix : at], alone, atol=1e-5, rtol=1e-5)
        for length in group.completions:
            whole = torch.cat([prefix, rows[:, at : at + length]], 1)
            alone = model(inputs_embeds=whole, output_hidden_states=True).hidden_states[-1][0, group.prefix :]
            torch.testing.assert_close(packed[at : at + length], alone, atol=1e-5, rtol=1e-5)
            at += length


@cases
def test_nothing_leaks_between_segments(llm, kernel):
    """Changing one segment changes, to the bit, only it and the completions of a changed prefix."""
    model = language_model(llm, kernel)
    rows = torch.randn(1, LAYOUT.length, 32)
    before = hidden(model, rows, LAYOUT)
    for changed in LAYOUT.segments:
        other = rows.clone()
        other[:, changed.begin : changed.end] = torch.randn(changed.end - changed.begin, 32)
        after = hidden(model, other, LAYOUT)
        for segment in LAYOUT.segments:
            same = torch.equal(before[segment.begin : segment.end], after[segment.begin : segment.end])
            reached = segment == changed or (changed.position == 0 and segment.group == changed.group)
            assert same != reached, f"{changed} -> {segment}"


@cases
def test_a_token_sees_no_later_token(llm, kernel):
    model = language_model(llm, kernel)
    rows = torch.randn(1, LAYOUT.length, 32)
    before = hidden(model, rows, LAYOUT)
    for segment in LAYOUT.segments:
        other = rows.clone()
        other[:, segment.end - 1] = torch.randn(32)
        after = hidden(model, other, LAYOUT)
        torch.testing.assert_close(
            before[segment.begin : segment.end - 1], after[segment.begin : segment.end - 1], atol=0, rtol=0
        )


@pytest.mark.parametrize("llm", LLMS)
def test_decoding_from_shared_prefixes_equals_plain_decoding(llm):
    model = language_model(llm, VARLEN)
    prompts, counts, answers = [torch.randn(1, 9, 32), torch.randn(1, 5, 32)], [2, 1], torch.randn(3, 4, 32)
    owners = [0, 0, 1]
    prefixes, expected = [], []
    for prompt in prompts:
        cache = DynamicCache(config=model.config)
        model(inputs_embeds=prompt, past_key_values=cache, use_cache=True)
        prefixes.append(PrefixKV.of(cache))
    for answer, owner in zip(answers, owners):
        whole = torch.cat([prompts[owner][0], answer])[None]
        expected.append(model(inputs_embeds=whole).logits[0, prefixes[owner].length :])
    own, shared = DynamicCache(config=model.config), SharedPrefixes.of(prefixes, counts)
    for step in range(4):
        logits = model(
            inputs_embeds=answers[:, step : step + 1], past_key_values=own, use_cache=True, shared_prefix=shared,
            position_ids=torch.tensor([[prefixes[owner].length + step] for owner in owners]),
            attention_mask=torch.ones(1, 1, 1, 1, dtype=torch.bool),
        ).logits  # fmt: skip
        torch.testing.assert_close(logits[:, 0], torch.stack(expected)[:, step], atol=1e-5, rtol=1e-5)
    assert all(prefix.keys[0].shape[0] == 1 for prefix in prefixes), "a prompt's keys were never expanded"
    assert own.get_seq_length() == 4


def test_shared_decode_equals_attention_over_everything():
    q, k, v = torch.randn(5, 4, 1, 8), torch.randn(5, 2, 3, 8), torch.randn(5, 2, 3, 8)
    prefix_k, prefix_v = torch.randn(1, 2, 11, 8), torch.randn(1, 2, 11, 8)
    keys, values = (torch.cat([p.expand(5, -1, -1, -1), own], 2).repeat_interleave(2, 1)
                    for p, own in ((prefix_k, k), (prefix_v, v)))  # fmt: skip
    expected = torch.nn.functional.scaled_dot_product_attention(q, keys, values, scale=0.5)
    shared = SharedPrefixes([PrefixKV([prefix_k], [prefix_v])], [5])
    torch.testing.assert_close(shared_decode(q, k, v, shared, 0, 0.5), expected)


def test_the_kernel_is_plain_sdpa_without_a_layout_and_keeps_padding_out():
    model = language_model("qwen3", VARLEN)
    rows, mask = torch.randn(2, 5, 32), torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]])
    ours = model(inputs_embeds=rows, attention_mask=mask).logits
    use_kernel(model, "sdpa")
    torch.testing.assert_close(ours, model(inputs_embeds=rows, attention_mask=mask).logits, atol=0, rtol=0)


def test_what_the_kernel_cannot_do_is_an_error():
    model = language_model("qwen3", VARLEN)
    with pytest.raises(ValueError, match="one row of 22 tokens"):
        packed_inputs(model, PackedLayout((PackedGroup(22),)), torch.randn(1, 20, 32))
    with pytest.raises(ValueError, match="unknown attention kernel `flash`"):
        use_kernel(model, "flash")
    with pytest.raises(ValueError, match="at least one token"):
        PackedGroup(3, (2, 0))
    for layer in model.model.layers:
        layer.self_attn.attention_dropout = 0.1
    rows = torch.randn(1, 6, 32)
    with pytest.raises(ValueError, match="attention_dropout"):
        model.train()(inputs_embeds=rows, **packed_inputs(model, PackedLayout((PackedGroup(6),)), rows))


SMALL = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
         "num_key_value_heads": 2}  # fmt: skip


@pytest.mark.parametrize("kernel", KERNELS)
def test_models_that_carry_a_state_along_the_row_are_not_packed(kernel, monkeypatch):
    """Convolutions and linear attention read the neighbour past any attention mask."""
    monkeypatch.setitem(LLMS, "lfm2", {"model_type": "lfm2", **SMALL, "layer_types": ["conv", "full_attention"]})
    model = language_model("lfm2", kernel)
    with pytest.raises(ValueError, match=r"type `lfm2` carries a state along the row.*set `packed: false`"):
        packed_inputs(model, LAYOUT, torch.randn(1, LAYOUT.length, 32))


@pytest.mark.parametrize("kernel", ["eager", "sdpa"])
def test_sequences_beyond_a_sliding_window_are_not_packed(kernel, monkeypatch):
    monkeypatch.setitem(LLMS, "mistral", {"model_type": "mistral", **SMALL, "head_dim": 8, "sliding_window": 12})
    model = language_model("mistral", kernel)
    assert "position_ids" in packed_inputs(model, LAYOUT, torch.randn(1, LAYOUT.length, 32))
    longer = PackedLayout((PackedGroup(7, (6,)),))
    with pytest.raises(ValueError, match="a layer of this language model uses 12 and a sequence has 13 tokens"):
        packed_inputs(model, longer, torch.randn(1, 13, 32))
