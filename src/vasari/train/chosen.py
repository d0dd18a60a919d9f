"""Samplers, gates and prompt ids from what a trainer's user writes: a name, settings, or an object."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vasari.errors import ConfigError
from vasari.sample import Gate, PromptSampler, make_gate, make_sampler
from vasari.sample.registry import name_of_settings

_ID_COLUMNS = ("prompt_id", "id")


def chosen_sampler(choice: Any, num_prompts: int, *, seed: int, prompt_ids: Iterable[str] | None) -> PromptSampler:
    """The sampler over so many prompts that a user chose.

    Args:
        choice: A name; a mapping of `name` and settings; an object of a sampler's settings; or a sampler.
        num_prompts: Size of the pool.
        seed: Of a sampler that is made here.
        prompt_ids: One id a prompt.

    Raises:
        ConfigError: It is none of these, or a sampler over another number of prompts.
    """
    if isinstance(choice, PromptSampler):
        if choice.num_prompts != num_prompts:
            raise ConfigError(f"the sampler is over {choice.num_prompts} prompts, and the pool has {num_prompts}")
        return choice
    name, settings = _named(choice, "sampler")
    return make_sampler(name, num_prompts=num_prompts, seed=seed, prompt_ids=prompt_ids, **settings)


def chosen_gate(choice: Any) -> Gate:
    """The gate that a user chose: by name, by a mapping of `name` and settings, or as an object.

    Raises:
        ConfigError: It is none of these.
    """
    if isinstance(choice, Gate):
        return choice
    name, settings = _named(choice, "gate")
    return make_gate(name, **settings)


def _named(choice: Any, what: str) -> tuple[str, dict[str, Any]]:
    if isinstance(choice, str):
        return choice, {}
    if isinstance(choice, Mapping) and isinstance(choice.get("name"), str):
        return choice["name"], {str(key): value for key, value in choice.items() if key != "name"}
    if what == "sampler" and dataclasses.is_dataclass(choice) and not isinstance(choice, type):
        return name_of_settings(choice), {field.name: getattr(choice, field.name) for field in dataclasses.fields(choice)}
    raise ConfigError(f"{what} must be a name, a mapping with 'name' and settings, or an object, got {choice!r}")


def prompt_ids_of(pool: Any) -> Sequence[str] | None:
    """One stable id for each row: its `prompt_id` or `id` where these are unique, else a digest of its prompt's text.

    Rows with the same text are told apart by their order among each other. None where the data set has no `prompt`.
    """
    names = pool.column_names or []
    for column in _ID_COLUMNS:
        if column in names:
            ids = [str(value) for value in pool.with_format(None)[column]]
            if len(set(ids)) == len(ids):
                return ids
    if "prompt" not in names:
        return None
    seen: dict[str, int] = {}
    ids = []
    for prompt in pool.select_columns(["prompt"])["prompt"]:
        digest = hashlib.blake2b(_text(prompt).encode(), digest_size=12).hexdigest()
        seen[digest] = seen.get(digest, 0) + 1
        ids.append(f"{digest}-{seen[digest]}")
    return ids


def _text(prompt: Any) -> str:
    """A prompt's text: a string as it is, messages as JSON without their pictures."""
    return prompt if isinstance(prompt, str) else json.dumps(prompt, sort_keys=True, ensure_ascii=False, default=lambda _: None)
