"""The model of a recipe as each stage trains it, from its config alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from vasari.model import resolve_model
from vasari.run.plan.stages import TrainedModel
from vasari.run.recipe import Recipe
from vasari.train.settings import GrpoSettings, LoraSettings, SftSettings

_ADAPTER_BYTES = {"float32": 4, "auto": 2}
"""Bytes of a frozen weight by the type that it is loaded in; published weights are bfloat16."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPlan:
    """A model's parameters by part, and how many of them each stage trains."""

    name: str
    """Class of transformers."""
    by_part: Mapping[str, int]
    """Parameters by part, without adapters."""
    total: int
    trained: Mapping[str, int]
    """Parameters with a gradient, by stage, adapters among them."""
    context: int | None
    """Tokens that the model was made for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedModel:
    """A recipe's model without weights, ready to be asked what it keeps in memory."""

    plan: ModelPlan
    stages: Mapping[str, TrainedModel]
    """As `sft` and `grpo` train it."""
    config: Any
    """Of transformers."""
    attention: str | None
    """How attention is computed, in transformers' words."""

    def as_trained(self, settings: SftSettings | GrpoSettings) -> TrainedModel:
        """Return the model as a stage with other settings would train it."""
        return _as_trained(self.config, settings, self.attention)

    def ways(self, settings: GrpoSettings) -> dict[bool, TrainedModel]:
        """Return the model with all weights trained (False) and with adapters (True)."""
        adapters = settings.lora or LoraSettings()
        return {
            has: self.as_trained(settings.model_copy(update={"lora": adapters if has else None}))
            for has in (False, True)
        }


def planned_model(recipe: Recipe, folder: Path) -> PlannedModel:
    """Return a recipe's model, without weights.

    Raises:
        VasariError: The model or its config is not there, or a setting does not fit it.
    """
    from vasari.model.counting import (  # noqa: PLC0415  (torch takes seconds to import)
        count_parameters,
        model_without_weights,
        open_config,
    )
    from vasari.model.small_vlm import small_config  # noqa: PLC0415

    if recipe.model.path is not None:
        config = open_config(resolve_model(recipe.model.path, folder))
    else:
        assert recipe.model.new is not None  # noqa: S101  (the recipe's check)
        config = small_config(recipe.model.new, vocabulary=recipe.model.new.vocabulary)
    # Kernels of a GPU are not there while planning; they keep what sdpa keeps.
    eager = "eager" if recipe.model.attn_implementation == "eager" else "sdpa"
    model = model_without_weights(config)
    count = count_parameters(model)
    stages = {
        name: _as_trained(config, settings, eager)
        for name, settings in (("sft", recipe.sft), ("grpo", recipe.grpo))
        if settings is not None
    }
    plan = ModelPlan(
        name=type(model).__name__,
        by_part=count.by_part,
        total=count.total,
        trained={name: stage.trained for name, stage in stages.items()},
        context=getattr(config.get_text_config(), "max_position_embeddings", None),
    )
    return PlannedModel(plan=plan, stages=stages, config=config, attention=eager)


def _as_trained(
    config: Any, settings: SftSettings | GrpoSettings, attention: str | None
) -> TrainedModel:
    from vasari.model.activations import model_shapes  # noqa: PLC0415
    from vasari.model.counting import count_parameters, model_without_weights  # noqa: PLC0415
    from vasari.train.weights import prepare_weights, type_to_load  # noqa: PLC0415

    model = model_without_weights(
        config, partial(prepare_weights, settings=settings), attention=attention
    )
    count = count_parameters(model)
    return TrainedModel(
        total=count.total,
        trained=count.trained,
        frozen_bytes=_ADAPTER_BYTES[type_to_load(settings)],
        shapes=model_shapes(model),
    )
