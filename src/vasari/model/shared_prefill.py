"""Rollouts that read a prompt once: its keys and values are shared by all of its group.

transformers' `generate` reads each prompt as often as it has rollouts, its images too, and goes on
with rows that have ended. Here a prompt is read once, rows leave when they end, and the cache grows
in place. What is drawn is the same: each random number goes to the row that `generate` gives it to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer, LinearAttentionCacheLayerMixin

from vasari.core.errors import StateError

PER_ROW = ("attention_mask", "position_ids", "token_type_ids", "mm_token_type_ids")
"""What `generate` carries along for each row, beside tokens and cache."""

_KNOWN = {
    "bos_token_id",
    "disable_compile",
    "do_sample",
    "eos_token_id",
    "max_new_tokens",
    "min_p",
    "pad_token_id",
    "repetition_penalty",
    "suppress_tokens",
    "temperature",
    "top_k",
    "top_p",
    "transformers_version",
}
"""Settings of generation under which rows that share a prompt are drawn as others are."""

_LEAVE = 0.75
"""Ended rows leave once no more than this share of the rows is still being written."""


def is_shareable(generation_config: Any) -> bool:
    """Whether `generate_shared` does what these settings of generation say."""
    return not generation_config.to_diff_dict().keys() - _KNOWN


@dataclass(frozen=True, slots=True)
class Written:
    """What `generate_shared` has written."""

    sequences: torch.Tensor
    """[rows, tokens] prompts and completions, as `model.generate` returns them."""
    log_probs: torch.Tensor | None = None
    """[rows, tokens of the completion] of each token under softmax(logits / `log_probs_at`), no
    token left out, as training computes it; 0 behind the end. None where they were not kept."""


def generate_shared(
    model: Any,
    inputs: dict[str, Any],
    sources: torch.Tensor,
    generation_config: Any,
    *,
    log_probs_at: float | None = None,
) -> Written:
    """Return prompts and completions of each row, and the log-probabilities of its tokens.

    Args:
        model: Of transformers, also with adapters.
        inputs: Of the distinct prompts, padded on the left, with their images.
        sources: [rows] the prompt that each row continues.
        generation_config: Sampling or greedy, with ends and a padding token, one completion a row;
            `is_shareable`.
        log_probs_at: Keep log-probabilities at this temperature, except of models whose rows cannot
            share a prompt (Mamba); None: keep none.
    """
    found = model.generate(
        **inputs,
        generation_config=generation_config,
        custom_generate=_decode,
        sources=sources.to(inputs["input_ids"].device),
        log_probs_at=log_probs_at,
        # Processes generate unequally often, and none waits for another.
        synced_gpus=False,
    )
    return found if isinstance(found, Written) else Written(found)


def _decode(
    model: Any,
    input_ids: torch.Tensor,
    logits_processor: Any,
    stopping_criteria: Any,
    generation_config: Any,
    *,
    sources: torch.Tensor,
    log_probs_at: float | None,
    synced_gpus: bool = False,  # noqa: ARG001  (`generate` says it)
    **kwargs: Any,
) -> Written | torch.Tensor:
    """Decoding loop for `generate`: one pass over the prompts, then one over the rows a token."""
    if not _keeps_all_in_cache(model, kwargs.get("past_key_values")):
        own = {name: _of_rows(name, value, sources) for name, value in kwargs.items()}
        return model._sample(  # type: ignore[no-any-return]
            input_ids[sources], logits_processor, stopping_criteria, generation_config, **own
        )
    first = model.prepare_inputs_for_generation(input_ids, is_first_iteration=True, **kwargs)
    outputs = model(**first, return_dict=True)
    state = _Rows(model, input_ids, kwargs, logits_processor, generation_config)
    state.after(outputs)
    logits = outputs.logits[:, -1].float()[sources]
    del outputs, first
    state.take(sources)
    state.make_room()
    while True:
        _check(logits, model)
        scores = logits_processor(state.input_ids, logits)
        tokens = _drawn(scores, state.alive, len(sources), generation_config.do_sample)
        kept = None if log_probs_at is None else _log_probs(logits, tokens, log_probs_at)
        state.append(tokens, kept)
        if state.leave(stopping_criteria):
            return state.written
        step = model.prepare_inputs_for_generation(
            state.input_ids, next_sequence_length=1, **state.kwargs
        )
        outputs = model(**step, return_dict=True)
        state.after(outputs)
        logits = outputs.logits[:, -1].float()


def _keeps_all_in_cache(model: Any, cache: Any) -> bool:
    """Whether rows can go on from copies of the cache.

    Mamba has a cache of its own, and RecurrentGemma keeps states in its modules.
    """
    if not isinstance(cache, Cache) or model.config.model_type == "recurrent_gemma":
        return False
    linear = any(isinstance(layer, LinearAttentionCacheLayerMixin) for layer in cache.layers)
    return linear or not model._is_stateful


def _check(logits: torch.Tensor, model: Any) -> None:
    """Raise where no token can be drawn, which an argmax would not tell."""
    if not torch.isfinite(logits.amax(-1)).all():
        raise StateError(
            f"{model.config._name_or_path}: the model's logits are infinite or no numbers: its"
            " weights are, or overflow in the type that it computes in; take other weights, or"
            " float32"
        )


def _of_rows(name: str, value: Any, rows: torch.Tensor) -> Any:
    """What belongs to these rows, of something that `generate` carries along."""
    if name not in PER_ROW or not isinstance(value, torch.Tensor):
        return value
    # Positions of images have three or four dimensions of their own in front.
    return value[:, rows] if value.dim() == 3 else value[rows]


def _drawn(scores: torch.Tensor, alive: torch.Tensor, num_rows: int, sample: bool) -> torch.Tensor:
    """The next token of each row that is alive.

    As torch.multinomial draws it, with the noise of all rows, so that a row is given the same
    random numbers whether others have left or not.
    """
    if not sample:
        return scores.argmax(-1)
    noise = scores.new_empty(num_rows, scores.size(-1)).exponential_(1)
    return (scores.softmax(-1) / noise[alive]).argmax(-1)


def _log_probs(logits: torch.Tensor, tokens: torch.Tensor, temperature: float) -> torch.Tensor:
    """[rows] log-probability of each token, before any processor has changed the logits."""
    scaled = logits if temperature == 1.0 else logits / temperature
    return scaled.gather(1, tokens[:, None]).squeeze(1) - scaled.logsumexp(1)


class _Rows:
    """Rows that are being written, and what the model needs to go on with them."""

    def __init__(
        self,
        model: Any,
        input_ids: torch.Tensor,
        kwargs: dict[str, Any],
        processors: Any,
        how: Any,
    ) -> None:
        self._model = model
        self._processors = processors
        self._pad = int(how._pad_token_tensor)
        self.input_ids = input_ids
        self.kwargs = kwargs

    def after(self, outputs: Any) -> None:
        """Go on to the next token: mask, positions and token types are one longer."""
        self.kwargs = self._model._update_model_kwargs_for_generation(outputs, self.kwargs)
        # Later passes read these from the cache.
        for name in ("pixel_values", "mm_encoder_outputs"):
            self.kwargs.pop(name, None)

    def take(self, rows: torch.Tensor) -> None:
        """Go on with the rows at these places, some of them possibly several times."""
        self.input_ids = self.input_ids[rows]
        self.kwargs = {name: _of_rows(name, own, rows) for name, own in self.kwargs.items()}
        self.kwargs["past_key_values"].reorder_cache(rows)
        for processor in self._processors:
            # A repetition penalty knows where each row begins.
            begins = getattr(processor, "prompt_ignore_length", None)
            if isinstance(begins, torch.Tensor):
                processor.prompt_ignore_length = begins.to(rows.device)[rows]
        deltas = getattr(_inner(self._model), "rope_deltas", None)
        if isinstance(deltas, torch.Tensor):
            _inner(self._model).rope_deltas = deltas[rows]

    def make_room(self) -> None:
        """Begin to write: every row is alive, and its cache will grow in place."""
        num_rows, self._num_prompt = self.input_ids.shape
        self.alive = torch.arange(num_rows, device=self.input_ids.device)
        self._running = torch.ones_like(self.alive, dtype=torch.bool)
        self._prompts = self.input_ids
        self._columns: list[torch.Tensor] = []
        self._log_probs: list[torch.Tensor] = []
        layers = self.kwargs["past_key_values"].layers
        layers[:] = [_GrowingLayer(own) if _is_plain(own) else own for own in layers]

    def append(self, tokens: torch.Tensor, log_probs: torch.Tensor | None) -> None:
        """Write a token in each row, with its log-probability where these are kept."""
        column = self._prompts.new_full((len(self._prompts),), self._pad)
        column[self.alive] = torch.where(self._running, tokens, self._pad)
        self._columns.append(column)
        if log_probs is not None:
            kept = log_probs.new_zeros(len(self._prompts))
            kept[self.alive] = log_probs.masked_fill(~self._running, 0.0)
            self._log_probs.append(kept)
        self.input_ids = torch.cat([self.input_ids, column[self.alive, None]], dim=1)

    def leave(self, stopping_criteria: Any) -> bool:
        """Let rows that have ended leave, and return whether all have."""
        self._running &= ~stopping_criteria(self.input_ids, None)
        num_running = int(self._running.sum())
        if 0 < num_running <= _LEAVE * len(self.alive):
            kept = self._running.nonzero().squeeze(1)
            self.take(kept)
            self.alive, self._running = self.alive[kept], self._running[kept]
        return num_running == 0

    @property
    def written(self) -> Written:
        """All rows, those that have left too."""
        return Written(
            torch.cat([self._prompts, torch.stack(self._columns, dim=1)], dim=1),
            torch.stack(self._log_probs, dim=1) if self._log_probs else None,
        )


def _is_plain(layer: Any) -> bool:
    """Whether a layer of the cache is transformers' usual one, and in use."""
    return type(layer) is DynamicLayer and layer.is_initialized


def _inner(model: Any) -> Any:
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    return getattr(base, "model", base)


class _GrowingLayer(DynamicLayer):  # type: ignore[misc]
    """transformers' cache of a layer, with room behind it: a new token copies no older one."""

    _room, _least = 0.25, 64
    """Free space, as a share of what is written, and in tokens."""

    def __init__(self, layer: DynamicLayer) -> None:
        super().__init__()
        self.keys, self.values = layer.keys, layer.values
        self.dtype, self.device = layer.dtype, layer.device
        self.is_initialized = True
        self._buffers = (self.keys, self.values)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write keys and values behind those that are there, and return all."""
        old = self.keys.shape[-2]
        new = old + key_states.shape[-2]
        if self._buffers[0].shape[-2] < new:
            room = new + max(self._least, int(self._room * new))
            self._buffers = (_with_room(self.keys, room), _with_room(self.values, room))
        for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[..., old:new, :] = states
        self.keys, self.values = (buffer[..., :new, :] for buffer in self._buffers)
        return self.keys, self.values

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        """Go on with the rows at these places, with the room that there is."""
        rows, length = beam_idx.to(self.device), self.keys.shape[-2]
        self._buffers = tuple(buffer.index_select(0, rows) for buffer in self._buffers)
        self.keys, self.values = (buffer[..., :length, :] for buffer in self._buffers)


def _with_room(written: torch.Tensor, length: int) -> torch.Tensor:
    *sizes, old, width = written.shape
    buffer = written.new_empty(*sizes, length, width)
    buffer[..., :old, :] = written
    return buffer
