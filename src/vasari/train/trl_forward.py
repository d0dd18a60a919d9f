"""TRL's GRPOTrainer whose generation and forward passes see the images of their own rollouts."""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence
from typing import Any

import torch
from trl import GRPOTrainer, prepare_multimodal_messages
from trl.data_utils import is_conversational
from trl.models.utils import unwrap_model_for_generation
from trl.trainer.utils import pad

from vasari.model.chat import blank_messages
from vasari.model.families import without_adapters
from vasari.model.sampling import nothing_added_by
from vasari.model.shared_prefill import generate_shared, is_shareable
from vasari.train.trl_images import (
    TOKEN_TYPES,
    Shown,
    by_rollout,
    encoded,
    images_in,
    joined_fields,
    model_inputs,
    token_types,
    types_of_columns,
    with_placeholder,
)
from vasari.train.whole_model import unsharded, whole_head


class ImagesByRollout(GRPOTrainer):  # type: ignore[misc]
    """TRL's `GRPOTrainer` that encodes a prompt once, and gives the model its images by rollout."""

    shown: list[Shown] | None = None
    """For each rollout of the batch in the making, what the model sees beside its tokens."""

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
        model = self.accelerator.unwrap_model(self.model)
        with nothing_added_by(model), unsharded(model, self.accelerator):
            if self._shares_prompts:
                return self._completions(prompt_ids), None
            return super()._generate_single_turn(prompt_ids, images, fields, *args, **kwargs)

    @property
    def _shares_prompts(self) -> bool:
        """Whether transformers generates as usual, and what it reads was encoded here."""
        is_usual = is_shareable(self.generation_config) and not (
            self.use_vllm
            or self.use_transformers_continuous_batching
            or (self._dist.is_zero3 and not self.args.ds3_gather_for_generation)
        )
        return is_usual and (self.shown is not None or not self._is_vlm)

    def _completions(self, prompt_ids: list[list[int]]) -> list[list[int]]:
        """Tokens of a rollout for each row, up to its end; rows of one prompt read it once."""
        nothing: Shown = {}
        shown = self.shown or [nothing] * len(prompt_ids)
        keys = [(tuple(ids), id(seen)) for ids, seen in zip(prompt_ids, shown, strict=True)]
        places = {key: keys.index(key) for key in dict.fromkeys(keys)}
        order = {key: number for number, key in enumerate(places)}
        inputs = self._padded([(prompt_ids[place], shown[place]) for place in places.values()])
        with (
            unwrap_model_for_generation(
                self.model_wrapped,
                self.accelerator,
                gather_deepspeed3_params=self.args.ds3_gather_for_generation,
                gradient_checkpointing_kwargs=self.args.gradient_checkpointing_kwargs,
            ) as model,
            torch.no_grad(),
            self._dist.summon_full_params(self.model_wrapped, recurse=False),
        ):
            sources = torch.tensor([order[key] for key in keys])
            sequences = generate_shared(model, inputs, sources, self.generation_config)
        return [
            _up_to_end(row, self.eos_token_ids)
            for row in sequences[:, inputs["input_ids"].size(1) :].tolist()
        ]

    def _padded(self, prompts: Sequence[tuple[list[int], Shown]]) -> dict[str, torch.Tensor]:
        """What the model reads of distinct prompts, padded on the left."""
        ids = [torch.tensor(own) for own, _ in prompts]
        shown = [seen for _, seen in prompts]
        how = {"padding_side": "left", "pad_to_multiple_of": self.pad_to_multiple_of}
        padded = pad(ids, padding_value=self._tokenizer.pad_token_id, **how)
        read = {
            "input_ids": padded,
            "attention_mask": pad([torch.ones_like(own) for own in ids], padding_value=0, **how),
        }
        read |= model_inputs(shown, self._inner(self.model))
        read |= token_types(shown, padded.size(1), 0)
        return dict(self._prepare_input(read))

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
        # TRL's method over parts of the batch, with what belongs to exactly these rollouts.
        rows = seen.get("pixel_values")
        if not isinstance(rows, list):
            rows = self.shown if rows is None else by_rollout(seen)
        types = {
            name: types_of_columns(seen[name], input_ids.size(1))
            for name in TOKEN_TYPES
            if seen.get(name) is not None
        }
        parts = []
        for start in range(0, len(input_ids), batch_size or len(input_ids)):
            own = slice(start, start + (batch_size or len(input_ids)))
            ids, mask, shown = input_ids[own], attention_mask[own], rows and rows[own]
            num = len(ids)
            if shown and self._must_see and not any("pixel_values" in row for row in shown):
                tokens, picture = self._placeholder
                columns = ids.size(1) - logits_to_keep
                pad_id = self._tokenizer.pad_token_id
                ids, mask = with_placeholder(ids, mask, columns, tokens, pad_id=pad_id)
                shown = [*shown, picture]
            told = {name: value[own] for name, value in types.items()}
            pictures: dict[str, Any] = {}
            if shown:
                columns = ids.size(1) - logits_to_keep
                pictures = self._prepare_input(model_inputs(shown, self._inner(model)))
                told |= self._prepare_input(token_types(shown, columns, logits_to_keep))
            with whole_head(self._inner(model)):
                found = super()._get_per_token_logps_and_entropies(
                    functools.partial(model, **pictures),
                    ids,
                    mask,
                    logits_to_keep,
                    compute_entropy=compute_entropy,
                    compute_aux_loss=compute_aux_loss,
                    **told,
                )
            parts.append(
                (found[0][:num], found[1] if found[1] is None else found[1][:num], found[2])
            )
        logps, entropies, losses = zip(*parts, strict=True)
        return (
            torch.cat(logps),
            torch.cat(entropies) if compute_entropy else None,
            torch.stack(losses).mean() if compute_aux_loss else None,
        )

    @property
    def _must_see(self) -> bool:
        """Whether each forward pass needs an image (`blank_messages`)."""
        return self.encodes and (self._dist.is_zero3 or self._dist.is_fsdp)

    @functools.cached_property
    def _placeholder(self) -> tuple[list[int], Shown]:
        """A prompt with a blank image, for a part of the batch without images."""
        return encoded(self.processing_class, blank_messages())


def _up_to_end(tokens: list[int], ends: Collection[int]) -> list[int]:
    """The tokens up to the first that ends a rollout, that one included."""
    found = [place for place, token in enumerate(tokens) if token in ends]
    return tokens[: found[0] + 1] if found else tokens
