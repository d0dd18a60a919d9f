"""Settings of vasari in a slime training, and slime's own flags that they need."""

from __future__ import annotations

import functools
import importlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import Field, ValidationError

from vasari.core.errors import ConfigError, MissingExtraError
from vasari.core.settings import Named, Settings
from vasari.score.reward import RewardTerm
from vasari.score.rewards import make_rewards
from vasari.train.settings import RewardChoice

ROLLOUT_FUNCTION = "vasari.slime.generate_rollout"
REWARD = "vasari.slime.reward"
CENTER_REWARDS = "vasari.slime.center_rewards"
SLIMES_OWN_ROLLOUT = "slime.rollout.sglang_rollout.generate_rollout"


class SlimeSettings(Settings):
    """What stands under `vasari` in the YAML file of slime's `--custom-config-path`."""

    sampler: Named = Named(name="weighted_passes")
    """Chooses prompts: a name of `vasari.sample.SAMPLER_NAMES` or `package.module:attribute`, and
    its settings."""
    seed: int | None = Field(default=None, ge=0)
    """Of the sampler; None: slime's `--rollout-seed`."""
    rewards: tuple[RewardChoice, ...] = (RewardChoice(name="accuracy"),)
    """What the reward of `vasari.slime.reward` is the sum of."""
    opened: str = ""
    """What the prompt already holds of every rollout, such as `<think>`: verdicts and rewards see
    it in front of the rollout's own text."""
    rollout_function: str = SLIMES_OWN_ROLLOUT
    """The function that rolls out a batch, which slime would be given as
    `--rollout-function-path`."""
    begin_anew: bool = False
    """Begin with a new sampler where a checkpoint holds no state of one."""


def settings_of(args: Any) -> SlimeSettings:
    """Return the settings that slime's arguments hold under `vasari`.

    Raises:
        ConfigError: They are none, or unknown, or out of range.
    """
    given = getattr(args, "vasari", None) or {}
    if not isinstance(given, Mapping):
        raise ConfigError(
            f"--custom-config-path: `vasari` must hold settings, got {given!r}; there are"
            f" {', '.join(SlimeSettings.model_fields)}"
        )
    return _parsed(json.dumps(dict(given), sort_keys=True, default=str))


@functools.lru_cache(maxsize=8)
def _parsed(given: str) -> SlimeSettings:
    try:
        return SlimeSettings.model_validate(json.loads(given))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, ("vasari", *first["loc"])))
        raise ConfigError(f"--custom-config-path: {where}: {first['msg']}") from error


@functools.lru_cache(maxsize=8)
def reward_terms(settings: str, max_tokens: int | None) -> tuple[RewardTerm, ...]:
    """Return the reward terms that settings (as JSON) name."""
    chosen = SlimeSettings.model_validate_json(settings).rewards
    return make_rewards([choice.model_dump() for choice in chosen], max_tokens=max_tokens)


def check_flags(args: Any) -> None:
    """Check slime's own flags before a rollout is paid for.

    Raises:
        ConfigError: One is missing, or does not go with another or with a setting of ours.
    """
    settings = settings_of(args)
    if not args.rollout_global_dataset or args.prompt_data is None:
        raise ConfigError(
            "vasari chooses from the prompts of --prompt-data: give it, and leave"
            " --disable-rollout-global-dataset out"
        )
    if args.rollout_function_path != ROLLOUT_FUNCTION:
        raise ConfigError(
            f"--rollout-function-path is {args.rollout_function_path}, and groups come back to the"
            f" sampler through {ROLLOUT_FUNCTION}: give that, and name yours as"
            " `vasari: {rollout_function: ...}` in --custom-config-path"
        )
    if args.custom_rm_path != REWARD:
        unused = [name for name in ("rewards", "opened") if name in settings.model_fields_set]
        if unused:
            raise ConfigError(
                f"--custom-config-path: vasari.{unused[0]} is for {REWARD}, and --custom-rm-path is"
                f" {args.custom_rm_path}: give {REWARD}, or leave the setting out"
            )
        return
    reward_terms(settings.model_dump_json(), getattr(args, "rollout_max_response_len", None))
    if args.reward_key:
        raise ConfigError(
            f"{REWARD} gives one number for each rollout: leave --reward-key {args.reward_key} out"
        )
    if args.custom_reward_post_process_path is None:
        raise ConfigError(
            "a rollout that cannot be verified would count as wrong in the mean of its group: add"
            f" --custom-reward-post-process-path {CENTER_REWARDS}"
        )


def function_named(path: str) -> Any:
    """Return the function that slime's `package.module.name` means.

    Raises:
        ConfigError: There is none.
    """
    module, _, name = path.rpartition(".")
    if module.startswith("slime."):
        found = getattr(slime_module(module), name, None)
    else:
        try:
            found = getattr(importlib.import_module(module), name, None)
        except (ImportError, ValueError) as error:
            raise ConfigError(f"{path!r} cannot be imported: {error}") from error
    if not callable(found):
        raise ConfigError(f"{path!r} names no function: write package.module.function")
    return found


def slime_module(name: str) -> Any:
    """Return a module of slime.

    Raises:
        MissingExtraError: slime is not installed, or another project of that name is.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        how = "pip install git+https://github.com/THUDM/slime"
        try:
            found = importlib.import_module("slime")
        except ImportError:
            raise MissingExtraError(
                f"vasari.slime needs slime, which is not here: {how}"
            ) from error
        if not (error.name or "").startswith("slime"):
            raise MissingExtraError(f"slime cannot be imported: {error}") from error
        where = next(iter(getattr(found, "__path__", ())), "?")
        raise MissingExtraError(
            f"the package slime at {where} has no {error.name}: PyPI's slime is another project;"
            f" pip uninstall slime, then {how}"
        ) from error
