"""`import cuewise.mllm.auto` makes AutoConfig, AutoModel and AutoProcessor know our model type.

The processor is registered here and not beside the model, because the library's AutoProcessor imports every image
processor it has and torchvision with them, two seconds that `cuewise analyze` does not need.
"""

from transformers import AutoProcessor

from cuewise.mllm.configuration import CuewiseConfig
from cuewise.mllm.modeling import CuewiseForConditionalGeneration
from cuewise.mllm.processing import CuewiseProcessor

__all__ = ["CuewiseConfig", "CuewiseForConditionalGeneration", "CuewiseProcessor"]

AutoProcessor.register(CuewiseConfig, CuewiseProcessor, exist_ok=True)
