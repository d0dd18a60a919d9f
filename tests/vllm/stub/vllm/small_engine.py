"""A small model of transformers that answers as vLLM's engine does, one request at a time.

It reads each prompt anew for every token: slow, and free of caches that could hide a mistake. Of
vision-language models it knows Qwen2.5-VL.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

from .sampling_params import SamplingParams, VLLMValidationError

Features = dict[str, torch.Tensor]
"""`pixel_values` and `image_grid_thw` of the images of a prompt."""


@dataclass
class Logprob:
    logprob: float
    rank: int | None = None
    decoded_token: str | None = None


@dataclass
class CompletionOutput:
    index: int
    token_ids: list[int]
    logprobs: list[dict[int, Logprob]] | None
    finish_reason: str
    text: str = ""


@dataclass
class RequestOutput:
    prompt_token_ids: list[int]
    outputs: list[CompletionOutput] = field(default_factory=list)


class SmallEngine:
    """Weights in float32, so that a trainer in float32 computes the same log-probabilities."""

    def __init__(self, path: str, *, max_model_len: int | None = None, seed: int = 0) -> None:
        # Imported late: the package under test finds this double when it looks for vLLM.
        from vasari.model.processor import load_processor

        config = AutoConfig.from_pretrained(path)
        self.sees = hasattr(config, "vision_config")
        kind = AutoModelForImageTextToText if self.sees else AutoModelForCausalLM
        self.model = kind.from_pretrained(path, dtype=torch.float32).eval()
        # As vLLM opens it: with the published limits on the size of images.
        self.processor = load_processor(path)
        self.vocabulary = config.get_text_config().vocab_size
        self.image_token = getattr(config, "image_token_id", None)
        own = config.get_text_config().max_position_embeddings
        if max_model_len is not None and max_model_len > own:
            raise VLLMValidationError(f"max_model_len ({max_model_len}) is greater than {own}")
        self.max_model_len = max_model_len or own
        ends = self.model.generation_config.eos_token_id
        self._ends = set([ends] if isinstance(ends, int) else ends or [])
        self.seed(seed)
        self.missing: set[str] = set()
        """Weights that were discarded and have not arrived anew."""

    def seed(self, seed: int) -> None:
        """Begin anew what requests without a seed draw from.

        It does not depend on the order in which different prompts arrive, as a client may send
        them at once: a prompt's rollouts follow from how often it was asked for.
        """
        self._seed = seed
        self._asked: Counter[tuple[int, ...]] = Counter()

    def _random(self, tokens: list[int]) -> torch.Generator:
        key = tuple(tokens)
        self._asked[key] += 1
        told = repr((self._seed, self._asked[key], key)).encode()
        digest = hashlib.blake2b(told, digest_size=7).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest, "big"))

    def load_weights(self, weights: list[tuple[str, torch.Tensor]]) -> None:
        own = dict(self.model.named_parameters())
        for name, value in weights:
            if name not in own:
                raise KeyError(f"there is no parameter {name!r}")
            with torch.no_grad():
                own[name].copy_(value)
            self.missing.discard(name)

    def discard_weights(self) -> None:
        with torch.no_grad():
            for name, value in self.model.named_parameters():
                value.fill_(float("nan"))
                self.missing.add(name)

    def features_of(self, images: list[Any]) -> Features:
        found = self.processor.image_processor(images, return_tensors="pt")
        return {name: found[name] for name in ("pixel_values", "image_grid_thw")}

    def num_tokens(self, features: Features) -> list[int]:
        """Tokens of each image."""
        side = self.processor.image_processor.merge_size
        return [int(grid.prod()) // side**2 for grid in features["image_grid_thw"]]

    def expanded(self, prompt: list[int], counts: list[int]) -> list[int]:
        """vLLM's `PromptReplacement` of Qwen-VL: a single image token becomes those of the image.

        A prompt that holds all of them already gets the rest once more. vLLM goes on with such a
        prompt, in which images stand at wrong places; the double stops.
        """
        tokens: list[int] = []
        rest = prompt
        for count in counts:
            if self.image_token not in rest:
                raise VLLMValidationError("Failed to apply prompt replacement for mm_items")
            place = rest.index(self.image_token)
            tokens += [*rest[:place], *[self.image_token] * count]
            rest = rest[place + 1 :]
        tokens += rest
        if tokens.count(self.image_token) != sum(counts):
            raise AssertionError(
                "the prompt already had the tokens of its images: vLLM has written them once more"
            )
        return tokens

    @torch.no_grad()
    def answer(
        self, tokens: list[int], features: Features | None, params: SamplingParams
    ) -> RequestOutput:
        if self.missing:
            raise RuntimeError(f"{len(self.missing)} weights are missing: push them first")
        params.verify(self.vocabulary)
        if wrong := [token for token in tokens if not 0 <= token < self.vocabulary]:
            raise VLLMValidationError(f"Token id {wrong[0]} is out of vocabulary")
        if len(tokens) >= self.max_model_len:
            raise VLLMValidationError(
                f"The decoder prompt (length {len(tokens)}) is longer than the maximum model"
                f" length of {self.max_model_len}."
            )
        rows = torch.tensor([tokens] * params.n)
        draws = [
            self._random(tokens)
            if params.seed is None
            else torch.Generator().manual_seed(params.seed + index)
            for index in range(params.n)
        ]
        ends = set(params.stop_token_ids or ()) | (set() if params.ignore_eos else self._ends)
        outputs = [CompletionOutput(index, [], [], "length") for index in range(params.n)]
        room = self.max_model_len - len(tokens)
        for _ in range(min(params.max_tokens or room, room)):
            logps = _processed(self._logits(rows, features), params)
            drawn = [
                int(own.argmax())
                if params.is_greedy
                else int(torch.multinomial(own.exp(), 1, generator=draw))
                for own, draw in zip(logps, draws, strict=True)
            ]
            for output, token, own in zip(outputs, drawn, logps, strict=True):
                if output.finish_reason == "length":
                    output.token_ids.append(token)
                    assert output.logprobs is not None
                    output.logprobs.append(_told(own, token, params.logprobs or 0))
                    output.finish_reason = "stop" if token in ends else "length"
            if all(output.finish_reason == "stop" for output in outputs):
                break
            rows = torch.cat([rows, torch.tensor(drawn)[:, None]], dim=1)
        if params.logprobs is None:
            for output in outputs:
                output.logprobs = None
        return RequestOutput(list(tokens), outputs)

    def _logits(self, rows: torch.Tensor, features: Features | None) -> torch.Tensor:
        seen: dict[str, Any] = {}
        if self.sees:
            self.model.model.rope_deltas = None
            if features is not None:
                times = len(rows)
                seen = {
                    "pixel_values": features["pixel_values"].repeat(times, 1),
                    "image_grid_thw": features["image_grid_thw"].repeat(times, 1),
                    "mm_token_type_ids": (rows == self.image_token).long(),
                }
        mask = torch.ones_like(rows)
        found = self.model(input_ids=rows, attention_mask=mask, use_cache=False, **seen)
        return found.logits[:, -1].float()


def _processed(logits: torch.Tensor, params: SamplingParams) -> torch.Tensor:
    """Log-probabilities as `--logprobs-mode processed_logprobs` tells them."""
    for token, bias in (params.logit_bias or {}).items():
        logits[:, token] += bias
    if params.is_greedy:
        return logits.log_softmax(-1)
    logits = logits / params.temperature
    if params.top_k > 0:
        least = logits.topk(min(params.top_k, logits.shape[-1])).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    if params.top_p < 1.0:
        ordered, order = logits.softmax(-1).sort(-1, descending=True)
        beyond = (ordered.cumsum(-1) - ordered) >= params.top_p
        logits = logits.masked_fill(beyond.scatter(1, order, beyond), -torch.inf)
    if params.min_p > 0.0:
        shares = logits.softmax(-1)
        few = shares < params.min_p * shares.amax(-1, keepdim=True)
        logits = logits.masked_fill(few, -torch.inf)
    return logits.log_softmax(-1)


def _told(logps: torch.Tensor, token: int, num_best: int) -> dict[int, Logprob]:
    best = logps.topk(num_best).indices.tolist() if num_best else []
    return {
        each: Logprob(float(logps[each]), rank=int((logps > logps[each]).sum()) + 1)
        for each in dict.fromkeys([token, *best])
    }
