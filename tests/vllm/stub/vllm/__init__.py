"""A double of the package vLLM 0.31.0: the names that TRL 1.16 imports, over a small transformers
model.

Its behaviour was written after the sources of the wheel of vLLM 0.31.0 (`sampling_params.py`,
`entrypoints/llm.py`, `v1/engine/parallel_sampling.py`, `multimodal/processing/processor.py`).
"""

from .offline import LLM
from .sampling_params import SamplingParams
from .small_engine import CompletionOutput, RequestOutput

__version__ = "0.31.0"
__all__ = ["LLM", "CompletionOutput", "RequestOutput", "SamplingParams"]
