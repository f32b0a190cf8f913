"""A GPU that is not there: its tensors are computed on the CPU, but meet only their like, as on a real one.

    with pretend_cuda():
        model.to("cuda")
        model(...)            # a CPU tensor among them raises, naming the operation

Forward passes only: torch asks for a real context before it goes backward.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

MIXED = ("aten::index.", "aten::index_put", "aten::_index_put", "aten::_unsafe_index", "aten::copy_", "aten::_to_copy")
"""Operations in which tensors of both devices may meet on a real GPU: indices, and copies."""


class There(Tensor):
    """A tensor that says it is on the device."""

    held: Tensor
    """Its values, on the CPU."""

    @staticmethod
    def __new__(cls, held: Tensor) -> "There":
        made = Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype,
            device="cuda:0",
        )  # fmt: skip
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        return _run(func, args, kwargs or {})


    def tolist(self) -> Any:
        return self.held.tolist()


class _Everywhere(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        return _run(func, args, kwargs or {})


def _on_cpu(item: Any) -> Any:
    """An argument as the CPU takes it."""
    return item.held if isinstance(item, There) else torch.device("cpu") if isinstance(item, torch.device) else item


def _run(func: Any, args: tuple, kwargs: dict) -> Any:
    name = f"{func._schema.name}.{func._schema.overload_name}"
    tensors = [item for item in tree_flatten((args, kwargs))[0] if isinstance(item, Tensor)]
    there = [item for item in tensors if isinstance(item, There)]
    lost = [item for item in tensors if not isinstance(item, There) and item.dim() > 0]
    if there and lost and not name.startswith(MIXED):
        raise RuntimeError(f"{name}: tensors on cuda, and one of shape {tuple(lost[0].shape)} on the CPU")
    asked = next((item for item in tree_flatten((args, kwargs))[0] if isinstance(item, torch.device)), None)
    args_here, kwargs_here = tree_map(_on_cpu, (args, kwargs))
    out = func(*args_here, **kwargs_here)
    if name.startswith("aten::copy_") or (tensors and func._schema.is_mutable and out is args_here[0]):
        return args[0]
    if not (asked.type == "cuda" if asked is not None else there):
        return out
    known = {id(item.held): item for item in there}
    return tree_map(lambda item: known[id(item)] if id(item) in known else _there(item), out)


def _there(item: Any) -> Any:
    return There(item) if isinstance(item, Tensor) else item


@contextmanager
def pretend_cuda() -> Iterator[None]:
    """Inside, ``"cuda"`` is a device; where there is a real one, that is it."""
    if torch.cuda.is_available():
        yield
        return
    init, tensor, cudnn = torch.cuda._lazy_init, torch.tensor, torch.backends.cudnn.enabled
    swap = torch.__future__.get_swap_module_params_on_conversion()

    def made(data: Any, *args: Any, device: Any = None, **kwargs: Any) -> Tensor:
        plain = tensor(data, *args, **kwargs)
        return plain if device is None else plain.to(device)

    torch._C._ensureCUDADeviceGuardSet()
    torch.cuda._lazy_init, torch.tensor, torch.backends.cudnn.enabled = lambda: None, made, False
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH), _Everywhere():
            yield
    finally:
        torch.cuda._lazy_init, torch.tensor, torch.backends.cudnn.enabled = init, tensor, cudnn
        torch.__future__.set_swap_module_params_on_conversion(swap)
