"""Compressors. Importing this package registers all of them in `cuewise.mllm.registry.COMPRESSORS`."""

from cuewise.mllm.compressors import pooling
from cuewise.mllm.compressors.base import Compressed, CompressorConfig, WindowCompressor
from cuewise.mllm.compressors.projector import Projector, ProjectorConfig

__all__ = ["Compressed", "CompressorConfig", "Projector", "ProjectorConfig", "WindowCompressor", "pooling"]
