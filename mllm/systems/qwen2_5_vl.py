"""Qwen2-VL and Qwen2.5-VL: pictures and videos, no sound. Also the picture side of the other Qwen families."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.video_utils import VideoMetadata

from cuewise.mllm.systems.multimodal import MultimodalSystem
from cuewise.mllm.systems.seen import Seen

TICKS_HZ = 100.0
"""Frame times are told to the processors as frame numbers at this rate."""


class Qwen25VL(MultimodalSystem):
    """Frames as one video with its real frame rate; a single frame as an image."""

    model_types = ("qwen2_vl", "qwen2_5_vl")

    def mark(self, kind: str) -> str:
        token = self.processor.image_token if kind == "image" else self.processor.video_token
        return f"<|vision_start|>{token}<|vision_end|>"

    def inputs(self, seen: Sequence[Seen], prompts: list[str]) -> dict[str, Tensor]:
        return dict(self.processor(text=prompts, padding=True, return_tensors="pt", **self.pictures(seen)))

    def pictures(self, seen: Sequence[Seen]) -> dict[str, Any]:
        """Arguments of the processor for the pictures of a batch."""
        stills = [one.frames[0] for one in seen if one.frames is not None and len(one.frames) == 1]
        films = [one for one in seen if one.frames is not None and len(one.frames) > 1]
        given: dict[str, Any] = {}
        if stills:
            given["images"] = [torch.from_numpy(still).permute(2, 0, 1) for still in stills]
        if films:
            given["videos"] = [torch.from_numpy(film.frames).permute(0, 3, 1, 2) for film in films]
            given["videos_kwargs"] = {"video_metadata": [metadata(film) for film in films], "do_sample_frames": False}
            if hasattr(self.processor.video_processor, "cap_pixels_per_frame"):
                given["videos_kwargs"]["cap_pixels_per_frame"] = True  # as the families' own reader does
        return given

    def media_ids(self) -> dict[str, int]:
        return {kind: self.token_id(token) for kind, token in
                (("image", self.processor.image_token), ("video", self.processor.video_token))}  # fmt: skip

    def expected_tokens(self, inputs: dict[str, Tensor]) -> dict[str, list[int]]:
        merge = self.processor.image_processor.merge_size**2
        grids = {"image": inputs.get("image_grid_thw"), "video": inputs.get("video_grid_thw")}
        return {
            kind: [] if grid is None else (grid.prod(-1) // merge).tolist() for kind, grid in grids.items()
        }


def metadata(film: Seen) -> VideoMetadata:
    """Times of sampled frames in the form of the video processors."""
    ticks = [round(float(at) * TICKS_HZ) for at in film.times_s]
    height, width = film.frames.shape[1:3]
    length = round(len(ticks) / film.frames_per_s * TICKS_HZ)
    return VideoMetadata(
        total_num_frames=max(1, length), fps=TICKS_HZ, width=width, height=height, duration=length / TICKS_HZ,
        frames_indices=ticks,
    )  # fmt: skip
