"""Compressors. Importing this package registers all of them in `cuewise.mllm.registry.COMPRESSORS`."""

from cuewise.mllm.compressors import bridge, experts, grids, lifting, pooling, queries, tubes
from cuewise.mllm.compressors.base import Compressed, Compressor, CompressorConfig, WindowCompressor
from cuewise.mllm.compressors.projector import Projector, ProjectorConfig

__all__ = [
    "Compressed", "Compressor", "CompressorConfig", "Projector", "ProjectorConfig", "WindowCompressor", "bridge",
    "experts", "grids", "lifting", "pooling", "queries", "tubes",
]  # fmt: skip
