"""Any other model that transformers can load for images and text (LLaVA, InternVL, SmolVLM, Gemma …): frames as images.

Nothing is known here about the model but what every processor of this kind offers: a chat template with image items.
The number of image tokens is checked to be above zero; that it fits the features is checked by the model itself.
"""

from collections.abc import Sequence

from torch import Tensor

from cuewise.mllm.systems.base import SystemLoadError
from cuewise.mllm.systems.multimodal import MultimodalSystem
from cuewise.mllm.systems.seen import Seen


class ImageText(MultimodalSystem):
    """Frames as separate images in order of time, through the folder's own chat template."""

    def check(self) -> None:
        if not getattr(self.processor, "chat_template", None):
            raise SystemLoadError(f"model {self.name!r} has no chat template, and its family is not known here; add "
                                  "chat_template.jinja to the folder")  # fmt: skip
        if getattr(self.processor, "image_token", None) is None:
            raise SystemLoadError(f"model {self.name!r}: its processor {type(self.processor).__name__} names no image "
                                  "token, so that it cannot be counted whether pictures arrive")  # fmt: skip

    def kinds(self, seen: Seen) -> list[str]:
        return [] if seen.frames is None else ["image"] * len(seen.frames)

    def inputs(self, seen: Sequence[Seen], prompts: list[str]) -> dict[str, Tensor]:
        pictures = [list(one.frames) if one.frames is not None else [] for one in seen]
        given = {"images": pictures} if any(pictures) else {}
        if any(pictures) and not all(pictures):
            raise ValueError("asks with and without pictures cannot share a batch in this family")
        return dict(self.processor(text=prompts, padding=True, return_tensors="pt", **given))

    def media_ids(self) -> dict[str, int]:
        return {"image": self.token_id(self.processor.image_token)}

    def expected_tokens(self, inputs: dict[str, Tensor]) -> dict[str, list[int]]:
        return {}
