from importlib.util import find_spec

import pytest
import torch

from cuewise.mllm.attention import pick_attention


def test_auto_takes_flash_only_where_it_can_run():
    can = find_spec("flash_attn") is not None and torch.cuda.is_available()
    assert pick_attention() == ("flash_attention_2" if can else "sdpa")


@pytest.mark.parametrize("name", ["sdpa", "eager"])
def test_an_explicit_kernel_is_kept(name):
    assert pick_attention(name) == name


def test_a_kernel_that_cannot_run_is_an_error_with_the_fix():
    if pick_attention() == "flash_attention_2":
        pytest.skip("flash-attn runs on this machine")
    with pytest.raises(ImportError, match=r"flash-attn is not installed: pip install|needs a CUDA GPU"):
        pick_attention("flash_attention_2")


def test_an_unknown_kernel_is_an_error():
    with pytest.raises(ValueError, match="unknown attention `flsh`; known: auto"):
        pick_attention("flsh")
