"""The REST endpoint: a thin layer over `cuewise.mllm.pipeline`."""
