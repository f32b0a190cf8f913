"""The gate that no answer passes whose media did not reach the language model.

Expected are the rows that the *clip* becomes, counted from its tensors before anything can lose them. Compared are the
placeholders of the prompt, the rows of the encoders, and, in the last moment before the language model, the embedding
rows themselves: a row counts only when it is neither zero nor the placeholder's own embedding.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn

from cuewise.mllm.media_tokens import MediaTokens
from cuewise.mllm.streams import SLOTS, StreamPlan
from cuewise.mllm.tensors import ClipTensors
from cuewise.train.packing import PackedRow, Prompted

Counts = Mapping[str, int]


class MediaLostError(RuntimeError):
    """Media that should reach the language model does not; names stage, stream and samples."""


def check_streams(option: str, names: Sequence[str], plan: StreamPlan) -> None:
    """Raise ValueError for a stream that the model does not have."""
    unknown = [name for name in names if name not in plan.streams]
    if unknown:
        near = get_close_matches(unknown[0], plan.streams, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"it has {', '.join(plan.streams)}"
        raise ValueError(f"{option} names `{unknown[0]}`, which is no stream of this model; {hint}")


def expected_rows(
    plan: StreamPlan, clip: ClipTensors, required: Sequence[str] = (), name: str = ""
) -> dict[str, int]:
    """{slot: rows} that this clip becomes. Raises MediaLostError where a `required` stream is absent."""
    lost = [stream for stream in required if stream not in clip.streams]
    if lost:
        raise MediaLostError(f"data: sample {name!r} has no {lost[0]}, which the recipe requires; check its media or "
                             "take the stream out of `requires`")  # fmt: skip
    return plan.num_tokens(clip.lengths)


def check_prompts(stage: str, prompts: Sequence[Prompted], placeholders: Mapping[str, int]) -> None:
    """Compare placeholders and encoded rows of prompts with what their clips have."""
    for what, counts in (
        ("placeholders in the prompt", [count_placeholders(p.prompt, placeholders) for p in prompts]),
        ("rows from the encoder", [(p.media or MediaTokens()).counts for p in prompts]),
    ):
        compare(stage, what, [p.id for p in prompts], [p.expected for p in prompts], counts)


def count_placeholders(ids: Sequence[int], placeholders: Mapping[str, int]) -> dict[str, int]:
    """{slot: placeholder ids}."""
    found = {slot: ids.count(token) for slot, token in placeholders.items()}
    return {slot: count for slot, count in found.items() if count}


def count_rows(ids: Tensor, rows: Tensor, table: Tensor, placeholders: Mapping[str, int]) -> dict[str, int]:
    """{slot: embedding rows that carry media} of one prompt: ids [L], rows [L, d], embedding table [V, d]."""
    found = {}
    for slot, token in placeholders.items():
        here = rows[(ids == token).nonzero().squeeze(1)]
        if len(here):
            own = table[token].to(here)
            found[slot] = int(((here != own).any(-1) & (here != 0).any(-1)).sum())
    return found


def compare(
    stage: str, what: str, ids: Sequence[str], expected: Sequence[Counts], found: Sequence[Counts]
) -> dict[str, int]:
    """Total rows per slot. Raises MediaLostError naming the first stream with a difference and its samples."""
    for slot in SLOTS:
        wrong = [i for i in range(len(ids)) if expected[i].get(slot, 0) != found[i].get(slot, 0)]
        if wrong:
            first = wrong[0]
            names = ", ".join(ids[i] for i in wrong[:5]) + (f" and {len(wrong) - 5} more" if len(wrong) > 5 else "")
            raise MediaLostError(
                f"{stage}: {slot} has {found[first].get(slot, 0)} {what} but the clip gives "
                f"{expected[first].get(slot, 0)}; samples {names}"
            )
    return {slot: sum(counts.get(slot, 0) for counts in found) for slot in SLOTS}


@contextmanager
def watched(
    stage: str, model: Any, row: PackedRow, prompts: Sequence[Prompted]
) -> Iterator[dict[str, int]]:
    """Count the media rows of a packed row as they enter the language model in this block.

    Yields the totals per slot, filled when the block ends. Raises MediaLostError when they are not what the clips have,
    or when the language model was not called at all.
    """
    placeholders, totals = model.plan.tokens.placeholders, {}
    check_prompts(stage, prompts, placeholders)
    table, seen = model.get_input_embeddings().weight, []

    def look(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        seen.append(_per_group(row, kwargs["inputs_embeds"][0].detach(), table.detach(), placeholders))

    handle = model.language_model.register_forward_pre_hook(look, with_kwargs=True)
    try:
        yield totals
    finally:
        handle.remove()
    if not seen:
        raise MediaLostError(f"{stage}: the language model was never called; samples {', '.join(row.ids)}")
    for counts in seen:
        what = "rows with media at the language model's input"
        totals |= compare(stage, what, row.ids, [prompt.expected for prompt in prompts], counts)


def _per_group(row: PackedRow, rows: Tensor, table: Tensor, placeholders: Mapping[str, int]) -> list[dict[str, int]]:
    if len(rows) != row.layout.length:
        return [{} for _ in row.ids]
    return [
        count_rows(row.input_ids[0, s.begin : s.end].to(rows.device), rows[s.begin : s.end], table, placeholders)
        for s in row.layout.segments if s.position == 0
    ]  # fmt: skip


def check_rows(stage: str, model: Any, prompt: Prompted, rows: Tensor) -> None:
    """Compare the embedding rows [L, d] of one prompt with what its clip has."""
    ids = torch.tensor(prompt.prompt, device=rows.device)
    found = count_rows(ids, rows, model.get_input_embeddings().weight.detach(), model.plan.tokens.placeholders)
    compare(stage, "rows with media at the language model's input", [prompt.id], [prompt.expected], [found])
