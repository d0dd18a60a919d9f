"""Settings for TRL that would be accepted and change nothing, because of the value of another one.

vLLM's and FSDP's own settings are left alone: `grpo.vllm: off` alone must do for a trial without
a GPU.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

_BETAS = ("adamw_*", "lion_*", "paged_*", "ademamix*", "apollo_*", "stable_adamw")
_READS_ADAM = (*_BETAS, "schedule_free_radam", "schedule_free_adamw")
"""Optimizers (patterns) that read `adam_beta1`, `adam_beta2` and `adam_epsilon`."""
_LOW_RANK = ("galore_*", "apollo_*")
_CLIPPED = ("grpo", "bnpo", "dr_grpo", "dapo", "luspo")
"""Losses with a ratio clipped on both sides."""

_RMSPROP = ("momentum", "alpha", "eps", "weight_decay", "centered")
_GALORE = ("rank", "update_proj_gap", "scale", "proj_type")
OPTIMIZER_ARGUMENTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "sgd": ("momentum", "dampening", "weight_decay", "nesterov"),
        "adagrad": ("lr_decay", "weight_decay", "eps"),
        "rmsprop": _RMSPROP,
        "rmsprop_bnb*": _RMSPROP,
        "ademamix*": ("beta1", "beta2", "beta3", "alpha", "eps", "t_alpha", "t_beta3"),
        "paged_ademamix*": ("beta1", "beta2", "beta3", "alpha", "eps", "t_alpha", "t_beta3"),
        "adamw_anyprecision": (
            "use_kahan_summation",
            "momentum_dtype",
            "variance_dtype",
            "compensation_buffer_dtype",
        ),
        "galore_*": _GALORE,
        "apollo_*": (*_GALORE, "proj", "scale_type"),
        "grokadamw": (
            "alpha_init",
            "lamb",
            "gamma",
            "grokking_signal_decay_rate",
            "gradient_clipping",
        ),
        "adamw_torch_4bit": ("block_size", "bf16_stochastic_round"),
        "adamw_torch_8bit": ("block_size", "bf16_stochastic_round"),
        "schedule_free_*": ("weight_lr_power", "r"),
        "stable_adamw": ("max_lr", "kahan_sum", "decouple_lr"),
    }
)
"""Optimizer (pattern) -> names that transformers reads in its `optim_args`; of others, none."""

_CHOICES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "multi_objective_aggregation": ("sum_then_normalize", "normalize_then_sum"),
        "vllm_importance_sampling_mode": (
            "token_truncate",
            "token_mask",
            "sequence_truncate",
            "sequence_mask",
        ),
        "vllm_model_impl": ("vllm", "transformers"),
    }
)
"""Setting whose type is any text -> the values that TRL takes, which it looks at too late."""
_CHOICES_OF: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "SFTConfig": {"loss_type": ("nll", "dft")},
    "GRPOConfig": {},
}

_BEYOND: Mapping[str, Any] = MappingProxyType(
    {
        "optim": "adamw_torch_fused",
        "adam_beta1": 0.9,
        "adam_beta2": 0.999,
        "adam_epsilon": 1e-8,
        "project": "huggingface",
        "dataloader_in_order": True,
        "sapo_temperature_neg": 1.05,
        "sapo_temperature_pos": 1.0,
        "loss_type": "nll",
        "vllm_importance_sampling_correction": True,
    }
)
"""TRL's default of an undeclared setting, where what else is given depends on it."""


@dataclass(frozen=True, slots=True)
class _Needs:
    """A setting that is read only where another one has certain values."""

    pattern: str
    """Which settings."""
    other: str
    """The setting that they depend on."""
    holds: Callable[[Any], bool]
    """Whether they are read with this value of it."""
    values: str
    """The values with which they are read, in words."""


def _is(*patterns: str) -> Callable[[Any], bool]:
    return lambda value: any(fnmatch.fnmatchcase(str(value), pattern) for pattern in patterns)


def _reports_to(tracker: str) -> Callable[[Any], bool]:
    """Whether metrics go to this tracker, or "" to any."""
    return lambda value: any(
        name not in ("none", []) and tracker in ("", name, *(["trackio"] if name == "all" else []))
        for name in ([value] if isinstance(value, str) else value or [])
    )


_NEEDS = (
    _Needs("adam_*", "optim", _is(*_READS_ADAM), "an optimizer that has it, such as adamw_torch"),
    _Needs("optim_target_modules", "optim", _is(*_LOW_RANK), "a galore_* or apollo_* optimizer"),
    _Needs(
        "lr_scheduler_kwargs",
        "lr_scheduler_type",
        lambda value: not _is("constant", "constant_with_warmup")(value),
        "a schedule that falls",
    ),
    _Needs(
        "warmup_steps",
        "lr_scheduler_type",
        lambda value: value != "constant",
        "any schedule but constant, e.g. constant_with_warmup",
    ),
    _Needs("gradient_checkpointing_kwargs", "gradient_checkpointing", bool, "true"),
    _Needs("liger_kernel_config", "use_liger_kernel", bool, "true"),
    _Needs("run_name", "report_to", _reports_to(""), "a tracker"),
    _Needs("project", "report_to", _reports_to("trackio"), "trackio"),
    _Needs("trackio_*", "report_to", _reports_to("trackio"), "trackio"),
)
_NEEDS_OF = {
    "SFTConfig": (
        _Needs("label_smoothing_factor", "loss_type", _is("nll"), "nll"),
        *(
            _Needs(f"dataloader_{what}", "dataloader_num_workers", bool, "1 or more")
            for what in (
                "prefetch_factor",
                "persistent_workers",
                "multiprocessing_context",
                "in_order",
            )
        ),
    ),
    "GRPOConfig": (
        _Needs("sapo_*", "loss_type", _is("sapo"), "sapo"),
        _Needs("vespo_*", "loss_type", _is("vespo"), "vespo"),
        _Needs("delta", "loss_type", _is(*_CLIPPED), ", ".join(_CLIPPED)),
        _Needs("epsilon", "loss_type", _is(*_CLIPPED), ", ".join(_CLIPPED)),
        _Needs("epsilon_high", "loss_type", _is(*_CLIPPED, "cispo"), "a loss that clips"),
        _Needs("use_bias_correction_kl", "beta", bool, "more than 0"),
        _Needs("sync_ref_model", "beta", bool, "more than 0"),
        _Needs("ref_model_*", "sync_ref_model", bool, "true"),
        _Needs("entropy_coef_*", "use_adaptive_entropy", bool, "true"),
        _Needs("entropy_target", "use_adaptive_entropy", bool, "true"),
        _Needs("num_completions_to_print", "log_completions", bool, "true"),
        _Needs("log_unique_prompts", "log_completions", bool, "true"),
        _Needs(
            "vllm_importance_sampling_[mc]*",
            "vllm_importance_sampling_correction",
            bool,
            "true",
        ),
    ),
}
"""TRL's class -> settings of its own that depend on another one."""


def dormant_settings(
    config_class: str, given: Mapping[str, Any], defaults: Mapping[str, Any]
) -> Iterator[str]:
    """Yield a message for each given setting that nothing would read, or that has no such value.

    Args:
        config_class: Name of TRL's class.
        given: Values by name; those that equal their default are not complained about.
        defaults: Of the settings that Vasari declares.
    """
    defaults = {**_BEYOND, **defaults}
    known = {**defaults, **given}
    for key in sorted(given):
        value = given[key]
        if not value or value == defaults.get(key):
            continue
        for needs in (*_NEEDS, *_NEEDS_OF[config_class]):
            other = known.get(needs.other)
            other = getattr(other, "value", other)  # an enumeration's, as TRL declares it
            if fnmatch.fnmatchcase(key, needs.pattern) and not needs.holds(other):
                yield (
                    f"{key!r} has no effect with {needs.other}: {other}; it is read with"
                    f" {needs.values}; set that, or leave it out"
                )
        choices = _CHOICES_OF[config_class].get(key, _CHOICES.get(key, (value,)))
        if value not in choices:
            yield f"{key!r}: expected one of {', '.join(choices)}, got {value!r}"
    if given.get("optim_args"):
        optimizer = known.get("optim")
        yield from _arguments_unread(
            str(given["optim_args"]), str(getattr(optimizer, "value", optimizer))
        )


def _arguments_unread(arguments: str, optimizer: str) -> Iterator[str]:
    """Yield a message for `optim_args` that this optimizer does not read."""
    read = next(
        (
            names
            for pattern, names in OPTIMIZER_ARGUMENTS.items()
            if fnmatch.fnmatchcase(optimizer, pattern)
        ),
        (),
    )
    for part in arguments.replace(" ", "").split(","):
        name, equals, value = part.partition("=")
        if not (name and equals and value) or "=" in value:
            yield f"'optim_args': expected name=value, name=value, ..., got {arguments!r}"
        elif name not in read:
            takes = f"it takes {', '.join(read)}" if read else "it takes none; leave them out"
            yield f"'optim_args': {name} has no effect with optim: {optimizer}; {takes}"
