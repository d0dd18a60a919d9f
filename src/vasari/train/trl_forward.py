"""TRL's GRPOTrainer whose generation and forward passes see the images of their own rollouts."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from trl import GRPOTrainer, prepare_multimodal_messages
from trl.data_utils import is_conversational
from trl.models.utils import unwrap_model_for_generation

from vasari.model.chat import blank_messages
from vasari.model.encoded_prompts import (
    TOKEN_TYPES,
    EncodedPrompt,
    Shown,
    encoded,
    model_inputs,
    token_types,
)
from vasari.model.families import without_adapters
from vasari.model.sampling import nothing_added_by
from vasari.model.shared_prefill import is_shareable
from vasari.model.token_engine import Drawn
from vasari.model.transformers_tokens import draw_rows, evaluating
from vasari.train.trl_images import (
    by_rollout,
    images_in,
    joined_fields,
    types_of_columns,
    with_placeholder,
)
from vasari.train.trl_log_probs import Columns, has_dropout, padded
from vasari.train.whole_model import unsharded, whole_head


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rollouts of a batch, with what the model is given of each."""

    ids: torch.Tensor
    mask: torch.Tensor
    shown: Sequence[Shown] | None
    types: dict[str, torch.Tensor]

    def at(self, places: torch.Tensor) -> _Rows:
        """The rollouts at these places."""
        shown = self.shown and [self.shown[place] for place in places.tolist()]
        types = {name: rows[places] for name, rows in self.types.items()}
        return _Rows(self.ids[places], self.mask[places], shown, types)


class ImagesByRollout(GRPOTrainer):  # type: ignore[misc]
    """TRL's `GRPOTrainer` that encodes a prompt once, and gives the model its images by rollout."""

    shown: list[Shown] | None = None
    """For each rollout of the batch in the making, what the model sees beside its tokens."""
    draws_without_dropout: bool = False
    """Whether a model with dropout draws without it. TRL draws with it, in training mode."""
    kept: Sequence[Sequence[float]] | None = None
    """For each rollout of the batch in the making, the log-probabilities it was drawn with, where
    they are exactly those that TRL would compute anew."""

    @property
    def encodes(self) -> bool:
        """Whether prompts are encoded here.

        Tools and environments may bring images of their own, and TRL encodes them.
        """
        return self._is_vlm and not self.tools and self.environment_factories is None

    def _tokenize_prompts(self, prompts: Any) -> Any:
        if not self.encodes or not is_conversational({"prompt": prompts[0]}):
            self.shown = None
            return self._tokenized_by_trl(prompts)
        once: dict[int, tuple[list[int], Shown]] = {}
        for prompt in prompts:
            if id(prompt) not in once:
                once[id(prompt)] = encoded(
                    self.processing_class,
                    prepare_multimodal_messages(prompt),
                    chat_template=self.chat_template,
                    **self.chat_template_kwargs,
                )
        ids, shown = zip(*(once[id(prompt)] for prompt in prompts), strict=True)
        self.shown = list(shown)
        types = {
            name: [own[name].tolist() for own in shown] for name in TOKEN_TYPES if name in shown[0]
        }
        images = [images_in(prompt) for prompt in prompts]
        fields = model_inputs(shown, self._inner(self.model)) | types
        return list(ids), images if any(images) else None, fields

    def _tokenized_by_trl(self, prompts: Any) -> Any:
        # Of several prompts some processors pad the shorter ones unasked (Gemma 4), and TRL takes
        # padding for tokens. With environments it encodes one prompt at a time.
        alone = self._is_vlm and self.environment_factories is None
        tokenize = super()._tokenize_prompts
        parts = [tokenize(part) for part in ([[one] for one in prompts] if alone else [prompts])]
        ids = [own for part in parts for own in part[0]]
        # TRL says None for a prompt without images beside others that have some, which no processor
        # takes.
        images = [own or [] for part in parts for own in part[1] or [None] * len(part[0])]
        fields = joined_fields([part[2] for part in parts]) if alone else parts[0][2]
        return ids, images if any(images) else None, fields

    def _inner(self, model: Any) -> Any:
        """The model itself, in whatever the accelerator and adapters have wrapped it."""
        return without_adapters(self.accelerator.unwrap_model(model))

    def _generate_single_turn(
        self, prompt_ids: list[list[int]], images: Any, fields: Any, *args: Any, **kwargs: Any
    ) -> Any:
        if self.use_vllm:
            # It takes nothing from the model but weights, and gathers those that are spread itself.
            return super()._generate_single_turn(prompt_ids, images, fields, *args, **kwargs)
        model = self.accelerator.unwrap_model(self.model)
        with nothing_added_by(model), unsharded(model, self.accelerator):
            if self._shares_prompts:
                rows = self._draw(prompt_ids)
                log_probs = [row.log_probs for row in rows]
                are_kept = all(own is not None for own in log_probs)
                return [row.token_ids for row in rows], log_probs if are_kept else None
            return super()._generate_single_turn(prompt_ids, images, fields, *args, **kwargs)

    @property
    def spares_padding(self) -> bool:
        """Whether columns of padding are left out of forward passes."""
        return False

    @property
    def log_probs_are_used(self) -> bool:
        """Whether somebody asks for the log-probabilities of what is drawn."""
        return False

    @property
    def _shares_prompts(self) -> bool:
        """Whether transformers generates as usual, and what it reads was encoded here."""
        is_usual = not (
            self.use_vllm
            or self.use_transformers_continuous_batching
            or (self._dist.is_zero3 and not self.args.ds3_gather_for_generation)
        )
        is_read_here = self.shown is not None or not self._is_vlm
        is_usual = is_usual and (self.draws_without_dropout or not self._has_dropout)
        return is_usual and is_read_here and is_shareable(self.generation_config)

    @functools.cached_property
    def _has_dropout(self) -> bool:
        return has_dropout(self.model)

    def _draw(self, prompt_ids: list[list[int]]) -> list[Drawn]:
        """A rollout for each row; rows of one prompt read it once.

        Without dropout, as all other rollouts of a run.
        """
        at = self.temperature if self.log_probs_are_used else None
        nothing: Shown = {}
        shown = self.shown or [nothing] * len(prompt_ids)
        keys = [(tuple(ids), id(seen)) for ids, seen in zip(prompt_ids, shown, strict=True)]
        order = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        prompts = {
            key: EncodedPrompt(ids, seen)
            for key, ids, seen in zip(keys, prompt_ids, shown, strict=True)
        }
        with (
            unwrap_model_for_generation(
                self.model_wrapped,
                self.accelerator,
                gather_deepspeed3_params=self.args.ds3_gather_for_generation,
                gradient_checkpointing_kwargs=self.args.gradient_checkpointing_kwargs,
            ) as model,
            self._dist.summon_full_params(self.model_wrapped, recurse=False),
            evaluating(model),
        ):
            return draw_rows(
                model,
                list(prompts.values()),
                [order[key] for key in keys],
                self.generation_config,
                log_probs_at=at,
                pad_to_multiple_of=self.pad_to_multiple_of,
                prepare=self._prepare_input,
            )

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        compute_aux_loss: bool = False,
        **seen: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        # TRL asks first for those of the policy that drew the rollouts.
        kept, self.kept = self.kept, None
        if kept is not None and model is self.model and not torch.is_grad_enabled():
            return padded(kept, attention_mask[:, -logits_to_keep:]), None, None
        rows = seen.get("pixel_values")
        if not isinstance(rows, list):
            rows = self.shown if rows is None else by_rollout(seen)
        types = {
            name: types_of_columns(seen[name], input_ids.size(1))
            for name in TOKEN_TYPES
            if seen.get(name) is not None
        }
        size = batch_size or len(input_ids)
        order = torch.arange(len(input_ids))
        if self.spares_padding and size < len(order):
            # Rollouts of like length together have fewer columns of padding.
            lengths = attention_mask[:, -logits_to_keep:].sum(1)
            order = lengths.argsort(descending=True, stable=True)
        parts = [
            self._part(
                model,
                _Rows(input_ids, attention_mask, rows, types).at(own),
                logits_to_keep,
                compute_entropy=compute_entropy,
                compute_aux_loss=compute_aux_loss,
            )
            for own in torch.split(order, size)
        ]
        logps, entropies, losses = zip(*parts, strict=True)
        back = order.argsort()
        return (
            torch.cat(logps)[back],
            torch.cat(entropies)[back] if compute_entropy else None,
            torch.stack(losses).mean() if compute_aux_loss else None,
        )

    def _part(
        self, model: Any, part: _Rows, num_completion: int, **asked: bool
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """TRL's method over a part of the batch, with what belongs to exactly these rollouts."""
        crop = self.spares_padding and self.pad_to_multiple_of is None
        columns = Columns.of(part.mask, num_completion, crop=crop)
        ids, mask = columns.crop(part.ids), columns.crop(part.mask)
        num, shown, num_prompt = len(ids), part.shown, ids.size(1) - columns.num_kept
        if shown and self._must_see and not any("pixel_values" in row for row in shown):
            tokens, picture = self._placeholder
            pad_id = self._tokenizer.pad_token_id
            ids, mask = with_placeholder(ids, mask, num_prompt, tokens, pad_id=pad_id)
            num_prompt = ids.size(1) - columns.num_kept
            shown = [*shown, picture]
        told = {name: columns.crop(value) for name, value in part.types.items()}
        pictures: dict[str, Any] = {}
        if shown:
            pictures = self._prepare_input(model_inputs(shown, self._inner(model)))
            told |= self._prepare_input(token_types(shown, num_prompt, columns.num_kept))
        with whole_head(self._inner(model)):
            logps, entropies, loss = super()._get_per_token_logps_and_entropies(
                functools.partial(model, **pictures), ids, mask, columns.num_kept, **asked, **told
            )
        grown = None if entropies is None else columns.grow(entropies[:num])
        return columns.grow(logps[:num]), grown, loss

    @property
    def _must_see(self) -> bool:
        """Whether each forward pass needs an image (`blank_messages`)."""
        return self.encodes and (self._dist.is_zero3 or self._dist.is_fsdp)

    @functools.cached_property
    def _placeholder(self) -> tuple[list[int], Shown]:
        """A prompt with a blank image, for a part of the batch without images."""
        return encoded(self.processing_class, blank_messages())
