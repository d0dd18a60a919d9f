"""Settings that a recipe passes to TRL under TRL's names, and published variants of GRPO.

A setting whose default is TRL's own is not declared here: any field of the config class may be
given under `trl`, and is checked against it.
"""

from __future__ import annotations

import dataclasses
import difflib
import enum
import fnmatch
import functools
import importlib.metadata
import typing
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from vasari.core.errors import ConfigError
from vasari.core.settings import Settings
from vasari.train.trl_dormant import dormant_settings

NotNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0)]

Schedule = Literal[
    "linear",
    "cosine",
    "cosine_with_restarts",
    "polynomial",
    "constant",
    "constant_with_warmup",
    "inverse_sqrt",
    "cosine_with_min_lr",
    "cosine_warmup_with_min_lr",
    "warmup_stable_decay",
]
"""Schedules of transformers that need no validation loss."""

Loss = Literal["grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo"]
"""TRL's losses; it refuses an unknown one only after rollouts were paid for."""

_LEAVE_OUT = "leave it out"
_SET_BY_VASARI = {
    "output_dir": "give --out to the command",
    "resume_from_checkpoint": "give --resume to the command",
    "*seed": "set the recipe's `seed`",
    "max_steps": "set `steps` of grpo, or `epochs` of sft",
    "num_train_epochs": "set `steps` of grpo, or `epochs` of sft",
    "per_device_*_batch_size": "set `micro_batch`",
    "auto_find_batch_size": "set `micro_batch`",
    "*eval*": "set `validate_every`",
    "load_best_model_at_end": "set `validate_every`",
    "metric_for_best_model": "set `validate_every`",
    "greater_is_better": "set `validate_every`",
    "logging_*": "leave it out: metrics.jsonl has what is logged",
    "log_level*": _LEAVE_OUT,
    "disable_tqdm": _LEAVE_OUT,
    "do_*": _LEAVE_OUT,
    "use_cpu": _LEAVE_OUT,
    "local_rank": _LEAVE_OUT,
    "ignore_data_skip": "leave it out: a resumed run goes on with the same prompts",
    "remove_unused_columns": _LEAVE_OUT,
    "label_names": _LEAVE_OUT,
    "model_init_kwargs": "leave it out: `model` says what is loaded",
    "trust_remote_code": "leave it out: a recipe runs no code of others",
    "accelerator_config": "leave it out: every prompt is read once, in one order",
    "average_tokens_across_devices": "leave it out: every token counts alike",
    "enable_jit_checkpoint": "set `save_every` of grpo, or `validate_every` of sft",
    "restore_callback_states_from_checkpoint": "leave it out: a resumed run goes on as it was",
    "prediction_loss_only": _LEAVE_OUT,
    "include_for_metrics": _LEAVE_OUT,
    "use_cache": _LEAVE_OUT,
    "log_on_each_node": _LEAVE_OUT,
    "parallelism_config": "leave it out: processes share batches, and sequences are not divided",
    "activation_checkpointing": "set `gradient_checkpointing`, its other name",
    "activation_checkpointing_kwargs": "set `gradient_checkpointing_kwargs`, its other name",
    "*hub*": "leave it out: a recipe uploads nothing",
}
"""Pattern of a field that Vasari sets, or whose change would break a run -> what to do instead."""


class TrlSettings(Settings):
    """Base class of settings that are passed unchanged to a config class of TRL.

    The fields below are those whose defaults differ from TRL's, or that Vasari reads too. Others
    are looked up in TRL's class when a recipe is parsed: importing it takes seconds, so only a
    recipe that names others waits for it. Where TRL is not installed they are not checked, and
    nothing can be trained.
    """

    model_config = ConfigDict(
        extra="allow", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )
    config_class: ClassVar[str]
    """Name of TRL's class."""
    set_by_vasari: ClassVar[Mapping[str, str]]
    """Pattern of a field that a recipe may not give -> what to do instead."""

    warmup_steps: NotNegative = 0.05
    """Steps over which the learning rate rises; below 1 a share of all steps."""
    weight_decay: NotNegative = 0.0
    """AdamW's weight decay."""
    max_grad_norm: Rate = 1.0
    """Gradients are clipped to this norm."""
    bf16: bool = False
    """Compute in bfloat16, for GPUs; trained weights stay float32."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass to save memory."""
    report_to: str | list[str] = Field(default_factory=list)
    """Trackers: trackio, wandb, tensorboard."""
    deepspeed: str | dict[str, Any] | None = None
    """A DeepSpeed configuration, or the path of its JSON file, relative to the recipe."""
    fsdp: bool | str | None = None
    """Shard the weights over processes (FSDP2), as `fsdp_config` says."""

    @model_validator(mode="before")
    @classmethod
    def _check_others(cls, content: Any) -> Any:
        """The content with the values of undeclared fields as TRL's types have them."""
        if not isinstance(content, Mapping):
            return content
        checked, problems = dict(content), []
        for key in content.keys() - cls.model_fields.keys():
            try:
                checked[key] = cls._checked(str(key), content[key])
            except ValueError as error:
                problems.append(str(error))
        if problems:
            raise ValueError("; ".join(sorted(problems)))
        if "epsilon" in checked and "epsilon_high" in cls.model_fields:
            checked.setdefault("epsilon_high", checked["epsilon"])  # as in TRL
        return checked

    @model_validator(mode="after")
    def _refuse_dormant(self) -> Self:
        """Refuse a setting that nothing would read beside the others."""
        defaults = {name: field.default for name, field in type(self).model_fields.items()}
        given = {**{name: getattr(self, name) for name in defaults}, **(self.model_extra or {})}
        problems = list(dormant_settings(self.config_class, given, defaults))
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @classmethod
    def _checked(cls, key: str, value: Any) -> Any:
        """The value as TRL's type of this field has it."""
        for pattern, instead in {**_SET_BY_VASARI, **cls.set_by_vasari}.items():
            if fnmatch.fnmatchcase(key, pattern):
                raise ValueError(f"Vasari sets {key!r} itself; {instead}")
        types = _types_of(cls.config_class)
        if types is None:
            return value
        if key not in types:
            near = difflib.get_close_matches(key, [*types, *cls.model_fields], 1)
            meant = f"; do you mean {near[0]!r}?" if near else "; leave it out"
            version = importlib.metadata.version("trl")
            raise ValueError(f"TRL {version} has no {cls.config_class} setting {key!r}{meant}")
        for kind in get_args(types[key]):
            # TRL takes any text here, and looks it up when the training is set up.
            if isinstance(kind, type) and issubclass(kind, enum.Enum) and isinstance(value, str):
                names = [str(member.value) for member in kind]
                if value not in names:
                    raise ValueError(f"{key!r}: expected one of {', '.join(names)}, got {value!r}")
        any_type = ConfigDict(arbitrary_types_allowed=True)
        try:
            return TypeAdapter(types[key], config=any_type).validate_python(value)
        except ValidationError as error:
            expected = error.errors()[0]["msg"]
            raise ValueError(f"{key!r}: {expected}, got {value!r}") from error


@functools.cache
def _types_of(config_class: str) -> Mapping[str, Any] | None:
    """The types of the fields of a TRL config class by name; None where TRL is not installed."""
    try:
        import trl  # noqa: PLC0415  (seconds to import, and seldom needed)
    except ImportError:
        return None
    kind = getattr(trl, config_class)
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind) if field.init}


class SftTrlSettings(TrlSettings):
    """Settings that are passed to TRL's `SFTConfig`."""

    config_class: ClassVar[str] = "SFTConfig"
    set_by_vasari: ClassVar[Mapping[str, str]] = {
        "gradient_accumulation_steps": "set `batch_prompts`",
        "save_*": "leave it out: checkpoints are written with every validation",
        **dict.fromkeys(
            (
                "shuffle_dataset",
                "train_sampling_strategy",
                "length_column_name",
                "dataloader_drop_last",
            ),
            "leave it out: all prompts are shuffled in every epoch",
        ),
        **dict.fromkeys(
            (
                "dataset_*",
                "*packing*",
                "padding_free",
                "max_length",
                "truncation_mode",
                "*_only_loss",
                "chat_template_path",
                "eos_token",
                "pad_*",
            ),
            "leave it out: batches are made by Vasari, whole, with a loss on the answer alone",
        ),
    }

    learning_rate: Rate = 1e-5
    """Peak learning rate, after the warm-up."""
    lr_scheduler_type: Schedule = "cosine"
    """Schedule of the learning rate after its peak."""
    adam_beta2: Annotated[float, Field(ge=0, lt=1)] = 0.98
    """AdamW's decay of squared gradients."""
    dataloader_num_workers: Annotated[int, Field(ge=0)] = 1
    """Processes that prepare batches."""


class GrpoTrlSettings(TrlSettings):
    """Settings that are passed to TRL's `GRPOConfig`."""

    config_class: ClassVar[str] = "GRPOConfig"
    set_by_vasari: ClassVar[Mapping[str, str]] = {
        "num_generations": "set `rollouts_per_prompt`",
        "generation_batch_size": "set `prompts_per_batch`",
        "steps_per_generation": "set `updates_per_batch`",
        "gradient_accumulation_steps": "set `updates_per_batch` and `micro_batch`",
        "num_iterations": "set `updates_per_batch`",
        "reward_weights": "set `weight` in `rewards`",
        "use_vllm": "set `vllm`",
        "vllm_mode": "set `vllm`",
        "save_total_limit": "set `keep_checkpoints`",
        "save_*": "set `save_every`",
        "dataloader_*": "leave it out: prompts are read when the sampler draws them",
        "shuffle_dataset": "leave it out: the sampler chooses the order",
        "train_sampling_strategy": "leave it out: the sampler chooses the order",
        "log_multimodal": "leave it out: with images on some processes only, it hangs",
        **dict.fromkeys(
            (
                "top_k",
                "min_p",
                "repetition_penalty",
                "generation_kwargs",
                "vllm_structured_outputs_regex",
            ),
            "leave it out: rollouts that train, refresh and validate are drawn alike, with"
            " temperature and top_p",
        ),
        **dict.fromkeys(
            ("use_transformers_*", "transformers_continuous_batching_config"),
            "leave it out: it takes no images, and draws otherwise than refresh and validation;"
            " set `vllm`",
        ),
        "neftune_noise_alpha": "leave it out: rollouts that train would be drawn with the noise,"
        " others without",
        "chat_template_kwargs": "set `model.thinking`",
        "label_smoothing_factor": "leave it out: the loss of GRPO has no labels to smooth",
        "length_column_name": "leave it out: the sampler chooses the order",
        "include_num_input_tokens_seen": "leave it out: metrics.jsonl counts the tokens",
        "max_tool_calling_iterations": "leave it out: rollouts call no tools",
    }

    learning_rate: Rate = 1e-6
    """Peak learning rate, after the warm-up."""
    lr_scheduler_type: Schedule = "constant_with_warmup"
    """Learning rate after its peak; `linear` and `cosine` fall to 0 over `steps`."""
    beta: NotNegative = 0.01
    """Weight of the k3 KL divergence to the cold start; 0 needs no reference model."""
    use_bias_correction_kl: bool = False
    """Multiply the KL term with the importance ratio; the paper does not."""
    epsilon: Rate = 0.2
    """Ratios below 1 - epsilon are clipped."""
    epsilon_high: Rate | None = 0.2
    """Ratios above 1 + epsilon_high are clipped (DAPO: 0.28); None, or left out beside `epsilon`:
    epsilon."""
    loss_type: Loss = "grpo"
    """How token losses are combined."""
    importance_sampling_level: Literal["token", "sequence"] = "token"
    """Whether ratios are of tokens or, as in GSPO, of whole rollouts."""
    scale_rewards: Literal["group", "batch", "none"] = "group"
    """Standard deviation that divides an advantage (Bessel-corrected, epsilon 1e-4)."""
    temperature: Rate = 0.6  # arXiv:2509.21268, section 6.1
    """Sampling temperature of rollouts, in training, refresh and validation."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Nucleus mass of rollouts, in training, refresh and validation."""
    max_completion_length: Positive = 4096
    """Longest rollout in tokens; a longer one is cut and, without an answer, wrong."""


Algorithm = Literal["grpo", "dapo", "dr_grpo", "gspo"]
"""A published variant of GRPO."""

_OBJECTIVE = {
    "loss_type": "grpo",
    "importance_sampling_level": "token",
    "epsilon": 0.2,
    "epsilon_high": 0.2,
    "beta": 0.0,
    "use_bias_correction_kl": False,
    "scale_rewards": "group",
}

ALGORITHMS: Mapping[Algorithm, Mapping[str, Any]] = MappingProxyType(
    {
        # arXiv:2509.21268, section 6.1: clip 0.2, k3 with coefficient 0.01.
        "grpo": {"trl": {**_OBJECTIVE, "beta": 0.01}},
        # arXiv:2503.14476: clip higher, no KL, dynamic sampling, loss over tokens, punishment of
        # overlong rollouts.
        "dapo": {
            "trl": {**_OBJECTIVE, "loss_type": "dapo", "epsilon_high": 0.28},
            "gate": "mixed",
            "rewards": [{"name": "accuracy"}, {"name": "format"}, {"name": "soft_overlong"}],
        },
        # arXiv:2503.20783: neither lengths nor deviations divide.
        "dr_grpo": {"trl": {**_OBJECTIVE, "loss_type": "dr_grpo", "scale_rewards": "none"}},
        # arXiv:2507.18071, section 5.1: ratios of whole rollouts, clipped at 3e-4 and 4e-4.
        "gspo": {
            "trl": {
                **_OBJECTIVE,
                "importance_sampling_level": "sequence",
                "epsilon": 3e-4,
                "epsilon_high": 4e-4,
            }
        },
    }
)
"""Settings that each variant stands for in a recipe's `grpo`; the recipe's own override them."""


@dataclasses.dataclass(frozen=True, slots=True)
class TrlAlgorithm:
    """Arguments for TRL that make up a published variant of GRPO, e.g. DAPO."""

    config: Mapping[str, Any]
    """Arguments of `GRPOConfig`."""
    trainer: Mapping[str, Any]
    """Arguments of `VarianceAwareGRPOTrainer`."""


def trl_algorithm(name: Algorithm) -> TrlAlgorithm:
    """Return the arguments of a GRPO variant, e.g. `dapo`, for a script that uses TRL.

    `GRPOConfig(**trl_algorithm("dapo").config, ...)` and `VarianceAwareGRPOTrainer(...,
    **trl_algorithm("dapo").trainer)`; rewards, such as DAPO's for overlong rollouts, are the
    script's.

    Raises:
        ConfigError: There is none of that name.
    """
    if name not in ALGORITHMS:
        raise ConfigError(
            f"algorithm must be one of {', '.join(get_args(Algorithm))}, got {name!r}"
        )
    settings = ALGORITHMS[name]
    return TrlAlgorithm(dict(settings["trl"]), {"gate": settings.get("gate", "all")})


def with_algorithm(content: dict[str, Any]) -> dict[str, Any]:
    """Return a recipe's `grpo` section with the settings of its named `algorithm` filled in.

    Raises:
        ValueError: The content gives another loss or other ratios than the algorithm has.
    """
    name: Any = content.get("algorithm")
    given = content.get("trl", {})
    if not isinstance(name, str) or name not in ALGORITHMS or not isinstance(given, Mapping):
        return content  # refused by the types
    preset = ALGORITHMS[name]  # type: ignore[index]
    for key in ("loss_type", "importance_sampling_level"):
        if given.get(key, preset["trl"][key]) != preset["trl"][key]:
            raise ValueError(
                f"algorithm {name} has the {key} {preset['trl'][key]}, got trl.{key}: {given[key]};"
                " leave one out"
            )
    return {**preset, **content, "trl": {**preset["trl"], **given}}
