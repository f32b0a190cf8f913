"""Encoder families. Importing this package registers all of them in `cuewise.mllm.registry.ENCODERS`."""

from cuewise.mllm.encoders import (
    conv_image,
    conv_voice,
    face_actions,
    hf,
    scene_person,
    text,
    vad_text,
    voice_committee,
)
from cuewise.mllm.encoders.base import Encoder, EncoderConfig, EncoderStates, ImageEncoderConfig

__all__ = [
    "Encoder", "EncoderConfig", "EncoderStates", "ImageEncoderConfig", "conv_image", "conv_voice", "face_actions", "hf",
    "scene_person", "text", "vad_text", "voice_committee",
]  # fmt: skip
