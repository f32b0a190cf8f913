"""Keys and values: of one prompt while it is read, and of all answers being written side by side.

They are `transformers` caches, so any decoder with plain full attention runs on them unchanged. The model calls
`update` once per layer; which rows and positions are meant is set beforehand.

Shapes: S slots, h key/value heads, C capacity, D head width, T prompt tokens, B rows of a step, L visible positions.
"""

from collections.abc import Iterable

import torch
from torch import Tensor
from transformers import DynamicCache, PretrainedConfig
from transformers.cache_utils import Cache, CacheLayerMixin, DynamicLayer

GROW = 256
"""Capacity grows in steps of so many positions."""


APART = 256
"""Positions looked at in vain that are worth another call of the attention kernel."""


def row_groups(lengths: list[int], bucket: int) -> list[tuple[int, int, int]]:
    """Neighbouring rows that see about as much: (first row, row behind the last, visible positions in whole buckets).

    One long answer would else let every row look at as many positions as its own.
    """
    groups: list[tuple[int, int, int]] = []
    for row, length in enumerate(lengths):
        own = -(-(length + 1) // bucket) * bucket
        low, _, seen = groups[-1] if groups else (row, row, own)
        most = max(seen, own)
        if groups and (row - low) * (most - seen) + most - own > APART:
            low, most = row, own
        elif groups:
            groups.pop()
        groups.append((low, row + 1, most))
    return groups


def unusual_layers(config: PretrainedConfig) -> list[str]:
    """Kinds of layers that are not plain full attention, by name; empty when slots can hold the whole cache."""
    layers = DynamicCache(config=config.get_text_config(decoder=True)).layers
    return sorted({type(layer).__name__ for layer in layers if type(layer) is not DynamicLayer})


class _Layer(CacheLayerMixin):
    """What the library asks a layer for; the tensors lie with the cache."""

    is_sliding = False

    def __init__(self, cache: "_OwnCache"):
        super().__init__()
        self._cache = cache

    def lazy_initialization(self, *_: Tensor) -> None:
        self.is_initialized = True

    def update(self, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        raise NotImplementedError("keys and values are written by the cache itself")

    def get_mask_sizes(self, query_length: int | Tensor) -> tuple[int, int]:
        size = query_length if isinstance(query_length, int) else query_length.shape[0]
        return self.get_seq_length() + size, 0

    def get_seq_length(self, *_: object) -> int:
        return self._cache.seen

    def get_max_length(self) -> int:
        return -1

    get_max_cache_shape = get_max_length


class _OwnCache(Cache):
    """What the library asks a cache for."""

    def __init__(self) -> None:
        super().__init__(layers=[_Layer(self)])

    @property
    def seen(self) -> int:
        raise NotImplementedError

    def get_seq_length(self, *_: object, **__: object) -> int:
        return self.seen

    def get_query_offset(self, *_: object, **__: object) -> int:
        return self.seen

    def get_mask_sizes(self, query_length: int | Tensor, *_: object, **__: object) -> tuple[int, int]:
        return self.layers[0].get_mask_sizes(query_length)


class PromptCache:
    """Keys and values [1, h, T, D] of one prompt, filled chunk by chunk through a `PackCache`."""

    def __init__(self, length: int):
        self.length = length
        self.filled = 0
        """Positions that all layers hold."""

        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []
        self.logits: Tensor | None = None
        """Logits [vocabulary] behind the last position, once the prompt is whole."""

    def write(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Add positions behind the filled ones; returns all up to there."""
        if layer == len(self.keys):
            for tensors, new in ((self.keys, key), (self.values, value)):
                tensors.append(new.new_empty(1, new.shape[1], self.length, new.shape[3]))
        end = self.filled + key.shape[2]
        self.keys[layer][:, :, self.filled : end] = key
        self.values[layer][:, :, self.filled : end] = value
        if self.filled == 0:
            return key, value
        return self.keys[layer][:, :, :end], self.values[layer][:, :, :end]

    def copy_start(self, other: "PromptCache", length: int) -> None:
        """Take the first positions from a prompt that begins the same."""
        for mine, theirs in ((self.keys, other.keys), (self.values, other.values)):
            for tensor in theirs:
                own = tensor.new_empty(1, tensor.shape[1], self.length, tensor.shape[3])
                own[:, :, :length] = tensor[:, :, :length]
                mine.append(own)
        self.filled = length

    def nbytes(self) -> int:
        return sum(tensor.nbytes for tensor in (*self.keys, *self.values))


class PackCache(_OwnCache):
    """Chunks of several prompts read in one pass, one behind the other in a single row.

    Args:
        parts: (prompt, tokens of it in this pass).
    """

    def __init__(self, parts: list[tuple[PromptCache, int]]):
        super().__init__()
        self.parts = parts

    @property
    def seen(self) -> int:
        return sum(cache.filled for cache, _ in self.parts)

    def update(self, key: Tensor, value: Tensor, layer: int, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        if len(self.parts) == 1:
            return self.parts[0][0].write(layer, key, value)
        sizes = [size for _, size in self.parts]
        shown = [
            cache.write(layer, part_key, part_value)
            for (cache, _), part_key, part_value in zip(self.parts, key.split(sizes, 2), value.split(sizes, 2))
        ]
        if self.seen == 0:
            return key, value
        return torch.cat([pair[0] for pair in shown], 2), torch.cat([pair[1] for pair in shown], 2)

    def positions(self, device: torch.device) -> Tensor:
        """Position of every token of this pass in its own prompt, [1, tokens]."""
        return torch.cat([
            torch.arange(cache.filled, cache.filled + size, device=device) for cache, size in self.parts
        ])[None]  # fmt: skip

    def mask(self, device: torch.device) -> Tensor | None:
        """Who sees whom, [1, 1, tokens, visible]; None for a single prompt from its beginning."""
        if len(self.parts) == 1 and self.seen == 0:
            return None
        blocks = [
            torch.ones(size, cache.filled + size, dtype=torch.bool, device=device).tril(cache.filled)
            for cache, size in self.parts
        ]  # fmt: skip
        return torch.block_diag(*blocks)[None, None] if len(blocks) > 1 else blocks[0][None, None]

    def lengths(self, device: torch.device) -> dict[str, object]:
        """Where the prompts of this pass begin and end, for attention that reads packed rows without a mask."""
        rows = [size for _, size in self.parts]
        seen = [cache.filled + size for cache, size in self.parts]
        ends = [torch.tensor([0, *sizes], device=device).cumsum(0).int() for sizes in (rows, seen)]
        names = ("cu_seq_lens_q", "cu_seq_lens_k", "max_length_q", "max_length_k")
        return dict(zip(names, (*ends, max(rows), max(seen))))

    def commit(self) -> None:
        """The pass is over: its positions count as filled."""
        for cache, size in self.parts:
            cache.filled += size


class SlotCache(_OwnCache):
    """Keys and values [S, h, C, D] of all answers; rows in use are 0..B-1 without a gap.

    Rows a step works on, and their positions, are set by `aim`. Positions never written are zero, and rows that ended
    in an error are wiped: masked positions still pass through the weighted sum, where 0 x NaN would be NaN.
    """

    def __init__(self, slots: int):
        super().__init__()
        self.slots, self.capacity = slots, 0
        self.generation = 0
        """Changes whenever a tensor is replaced by a larger one."""

        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []
        self._low = self._high = self._visible = 0
        self._rows = self._positions = None

    @property
    def seen(self) -> int:
        return self._visible - 1

    def aim(self, low: int, high: int, positions: Tensor, visible: int) -> None:
        """The next `update` writes one position of each of the rows `low`..`high`-1 and shows `visible` of them."""
        self._low, self._high, self._visible = low, high, visible
        self._rows, self._positions = torch.arange(low, high, device=positions.device), positions
        self.reserve(visible)

    def update(self, key: Tensor, value: Tensor, layer: int, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        shown = []
        for tensor, new in ((self.keys[layer], key), (self.values[layer], value)):
            tensor[self._rows, :, self._positions] = new[:, :, 0]
            shown.append(tensor[self._low : self._high, :, : self._visible])
        return shown[0], shown[1]

    def reserve(self, length: int, layers: int | None = None) -> bool:
        """Make room for rows of this length, in at most so many layers now; growing all at once would stall a step.

        True when something was copied, which takes as long as a step.
        """
        if length <= self.capacity:
            return False
        wanted, grown = -(-length // GROW) * GROW, 0
        for layer, old in enumerate(self.keys):
            if old.shape[2] >= wanted:
                continue
            if grown == layers:
                return True
            for tensors in (self.keys, self.values):
                old = tensors[layer]
                tensors[layer] = old.new_zeros(self.slots, old.shape[1], wanted, old.shape[3])
                tensors[layer][:, :, : old.shape[2]] = old
            grown += 1
            self.generation += 1
        self.capacity = wanted
        return grown > 0

    def install(self, row: int, prompt: PromptCache) -> None:
        """Begin a row with a whole prompt."""
        self.reserve(prompt.length + 1)
        if not self.keys:
            self.generation += 1
            for tensors, given in ((self.keys, prompt.keys), (self.values, prompt.values)):
                tensors += [t.new_zeros(self.slots, t.shape[1], self.capacity, t.shape[3]) for t in given]
        for tensor, given in self._pairs(prompt):
            tensor[row, :, : prompt.length] = given[0]

    def move(self, source: int, target: int, length: int) -> None:
        """Copy a row of this length over another."""
        for tensor in (*self.keys, *self.values):
            tensor[target, :, :length] = tensor[source, :, :length]

    def wipe(self, row: int) -> None:
        for tensor in (*self.keys, *self.values):
            tensor[row].zero_()

    def nbytes(self) -> int:
        return sum(tensor.nbytes for tensor in (*self.keys, *self.values))

    def _pairs(self, prompt: PromptCache) -> Iterable[tuple[Tensor, Tensor]]:
        return zip((*self.keys, *self.values), (*prompt.keys, *prompt.values))
