"""Sampling parameters, refused as vLLM 0.31.0 refuses them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

_SAMPLING_EPS, _LEAST_TEMPERATURE = 1e-5, 1e-2


class VLLMValidationError(ValueError):
    pass


@dataclass
class StructuredOutputsParams:
    json: Any = None
    regex: str | None = None
    choice: list[str] | None = None


@dataclass(kw_only=True)
class SamplingParams:
    n: int = 1
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    seed: int | None = None
    stop: str | list[str] | None = None
    stop_token_ids: list[int] | None = None
    ignore_eos: bool = False
    max_tokens: int | None = 16
    min_tokens: int = 0
    logprobs: int | None = None
    detokenize: bool = True
    skip_special_tokens: bool = True
    output_kind: int = 0
    structured_outputs: StructuredOutputsParams | None = None
    logit_bias: dict[int, float] | None = None
    allowed_token_ids: list[int] | None = None

    @staticmethod
    def from_optional(*, logit_bias: dict[Any, float] | None = None, **rest: Any) -> SamplingParams:
        if logit_bias is not None:
            try:
                logit_bias = {
                    int(token): min(100.0, max(-100.0, bias)) for token, bias in logit_bias.items()
                }
            except (ValueError, TypeError) as error:
                raise VLLMValidationError(
                    "logit_bias contains key(s) that cannot be converted to integer token IDs"
                ) from error
        return SamplingParams(
            logit_bias=logit_bias, **{k: v for k, v in rest.items() if v is not None}
        )

    def __post_init__(self) -> None:
        if 0 < self.temperature < _LEAST_TEMPERATURE:
            self.temperature = _LEAST_TEMPERATURE
        if self.seed == -1:
            self.seed = None
        self.stop_token_ids = list(dict.fromkeys(self.stop_token_ids or []))
        self._verify_args()
        if self.is_greedy:
            self.top_p, self.top_k, self.min_p = 1.0, 0, 0.0
            if self.n > 1:
                raise VLLMValidationError(f"n must be 1 when using greedy sampling, got {self.n}.")

    @property
    def is_greedy(self) -> bool:
        return self.temperature < _SAMPLING_EPS

    def _verify_args(self) -> None:
        if not isinstance(self.n, int) or self.n < 1:
            raise VLLMValidationError(f"n must be at least 1, got {self.n}.")
        if not math.isfinite(self.temperature) or not 0.0 <= self.temperature <= 2.0:
            raise VLLMValidationError(f"temperature must be in [0, 2], got {self.temperature}.")
        if not 0.0 < self.top_p <= 1.0:
            raise VLLMValidationError(f"top_p must be in (0, 1], got {self.top_p}.")
        if not isinstance(self.top_k, int) or self.top_k < -1:
            raise VLLMValidationError(
                f"top_k must be 0 (disable), or at least 1, got {self.top_k}."
            )
        if not 0.0 <= self.min_p <= 1.0:
            raise VLLMValidationError(f"min_p must be in [0, 1], got {self.min_p}.")
        if self.max_tokens is not None and self.max_tokens < 1:
            raise VLLMValidationError(f"max_tokens must be at least 1, got {self.max_tokens}.")
        if self.logprobs is not None and self.logprobs < -1:
            raise VLLMValidationError(f"logprobs must be non-negative or -1, got {self.logprobs}.")
        if not all(isinstance(token, int) for token in self.stop_token_ids or []):
            raise VLLMValidationError(
                f"stop_token_ids must contain only integers, got {self.stop_token_ids}."
            )
        if self.repetition_penalty != 1.0 or self.structured_outputs or self.min_tokens:
            raise NotImplementedError("the double has no penalties, grammars or least lengths")

    def verify(self, vocabulary: int) -> None:
        """What the engine checks when a request is added."""
        for name in ("logit_bias", "stop_token_ids"):
            wrong = [t for t in getattr(self, name) or () if not 0 <= t < vocabulary]
            if wrong:
                raise VLLMValidationError(f"token_id(s) {wrong} in {name} are out of vocabulary")
        if len(self.logit_bias or ()) > 1024:
            raise VLLMValidationError(f"Too many logit bias tokens: {len(self.logit_bias or ())}")
