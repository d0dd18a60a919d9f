"""The engine in the trainer's process, as `vllm.LLM`."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

import torch

from .sampling_params import SamplingParams
from .small_engine import RequestOutput, SmallEngine

_OPTIONS = {
    *("tensor_parallel_size", "gpu_memory_utilization", "max_model_len", "max_num_seqs"),
    *("enable_sleep_mode", "model_impl", "distributed_executor_backend", "seed"),
    *("max_num_batched_tokens", "logprobs_mode", "quantization", "trust_remote_code"),
    *("dtype", "mm_processor_kwargs", "limit_mm_per_prompt"),
}


class LLM:
    """Keeps what it was made with (`options`), asked for (`calls`) and drew (`drawn`)."""

    made: ClassVar[list[LLM]] = []

    def __init__(self, model: str, **options: Any) -> None:
        if unknown := options.keys() - _OPTIONS:
            raise TypeError(f"unexpected keyword arguments {sorted(unknown)}")
        self.options = {"model": model, **options}
        self.calls: list[dict[str, Any]] = []
        self.drawn: list[list[int]] = []
        self.log: list[str] = []
        self.engine = SmallEngine(
            model, max_model_len=options.get("max_model_len"), seed=options.get("seed") or 0
        )
        self._asleep: set[str] = set()
        runner = SimpleNamespace(model=SimpleNamespace(load_weights=self._load_weights))
        worker = SimpleNamespace(model_runner=runner)
        self.llm_engine = SimpleNamespace(
            model_config=SimpleNamespace(max_model_len=self.engine.max_model_len),
            model_executor=SimpleNamespace(driver_worker=worker),
        )
        LLM.made.append(self)

    def _load_weights(self, weights: Any) -> None:
        if "weights" in self._asleep:
            raise RuntimeError("the memory of the weights is not mapped: wake_up(['weights'])")
        self.engine.load_weights(list(weights))
        if self.log[-1:] != ["weights"]:
            self.log.append("weights")

    def generate(
        self,
        prompts: list[dict[str, Any]],
        sampling_params: SamplingParams | list[SamplingParams],
        *,
        use_tqdm: bool = True,
    ) -> list[RequestOutput]:
        if self._asleep:
            raise RuntimeError(f"asleep: {sorted(self._asleep)}")
        self.log.append("generate")
        several = isinstance(sampling_params, list)
        params = sampling_params if several else [sampling_params] * len(prompts)
        return [self._answer(own, how) for own, how in zip(prompts, params, strict=True)]

    def _answer(self, prompt: dict[str, Any], params: SamplingParams) -> RequestOutput:
        if prompt.keys() - {"prompt_token_ids", "multi_modal_data"}:
            raise TypeError(f"unknown prompt with {sorted(prompt)}")
        tokens, features = list(prompt["prompt_token_ids"]), None
        images = prompt.get("multi_modal_data", {}).get("image")
        self.calls.append({"tokens": tokens, "images": images, "params": params})
        if images is not None:
            features = self.engine.features_of(images if isinstance(images, list) else [images])
            tokens = self.engine.expanded(tokens, self.engine.num_tokens(features))
        answer = self.engine.answer(tokens, features, params)
        self.drawn += [output.token_ids for output in answer.outputs]
        return answer

    def sleep(self, level: int = 1) -> None:
        if not self.options.get("enable_sleep_mode"):
            raise ValueError("Sleep mode is not enabled")
        self._asleep = {"weights", "kv_cache"}
        self.log.append(f"sleep {level}")
        if level == 2:
            self.engine.discard_weights()

    def wake_up(self, tags: list[str] | None = None) -> None:
        self._asleep -= {"weights", "kv_cache"} if tags is None else set(tags)
        self.log.append("wake " + ",".join(tags or ["all"]))

    def reset_prefix_cache(self) -> bool:
        self.log.append("reset")
        return True

    def weights(self) -> dict[str, torch.Tensor]:
        return {name: value.clone() for name, value in self.engine.model.named_parameters()}
