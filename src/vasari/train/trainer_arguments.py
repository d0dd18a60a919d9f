"""Conversion of a trainer's arguments to a sampler, a gate, prompt ids and prompt features."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from vasari.core.errors import ConfigError
from vasari.core.records import Prompt
from vasari.sample import (
    Gate,
    PoolFeatures,
    PromptSampler,
    make_gate,
    make_sampler,
    prompt_features,
)
from vasari.sample.registry import name_of_settings, takes_features
from vasari.score.reward import text_of

_ID_COLUMNS = ("prompt_id", "id")


def sampler_from(
    choice: Any,
    pool: Any,
    *,
    seed: int,
    prompt_ids: Iterable[str] | None,
    features: Callable[[Any], PoolFeatures | None] | None = None,
) -> PromptSampler:
    """Return the prompt sampler that the user gives as a name, as settings or as an object.

    Args:
        choice: A name; a mapping of `name` and settings, also `seed` and `features`; an object of a
            sampler's settings; or a sampler.
        pool: A data set, a row a prompt.
        seed: Of a sampler that is made here.
        prompt_ids: One id a prompt.
        features: Gives the pool's features to a sampler that takes them; None: `features_of`, for a
            data set in one of TRL's forms.

    Raises:
        ConfigError: It is none of these, or a sampler over another number of prompts.
    """
    if isinstance(choice, PromptSampler):
        made = choice
    else:
        name, settings = _named(choice, "sampler")
        given = settings.get("features")
        if given is not None and not isinstance(given, PoolFeatures):
            raise ConfigError(
                f"features must be PoolFeatures, which no file can hold, got {given!r}"
            )
        known: dict[str, Any] = {"num_prompts": len(pool), "seed": seed, "prompt_ids": prompt_ids}
        if "features" not in settings and takes_features(name):
            known["features"] = (features or features_of)(pool)
        made = make_sampler(name, **(known | settings))
    if made.num_prompts != len(pool):
        raise ConfigError(
            f"the sampler is over {made.num_prompts} prompts, and the pool has {len(pool)}"
        )
    return made


def described(sampler: PromptSampler) -> str:
    """Return a sampler's name, the size of its pool and its settings, for a line of a log."""
    settings = sampler.made_with
    name = sampler.name or type(sampler).__name__
    return f"{name!r} over {sampler.num_prompts} prompts" + (f": {settings}" if settings else "")


def gate_from(choice: Any) -> Gate:
    """Return the gate (rule for which groups train) given as a name, a mapping or an object.

    Raises:
        ConfigError: The choice is none of these; a mapping has `name` and settings.
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
        return name_of_settings(choice), {
            field.name: getattr(choice, field.name) for field in dataclasses.fields(choice)
        }
    raise ConfigError(
        f"{what} must be a name, a mapping with 'name' and settings, or an object, got {choice!r}"
    )


def prompt_ids_of(pool: Any) -> Sequence[str] | None:
    """Return a stable id for each row of a data set: `prompt_id`, `id` or a digest of its prompt.

    A column counts where its ids are unique. Rows with the same text are told apart by their order
    among each other. None where the data set has no `prompt`.
    """
    names = pool.column_names or []
    for column in _ID_COLUMNS:
        if column in names:
            ids = [str(value) for value in pool.with_format(None)[column]]
            if len(set(ids)) == len(ids):
                return ids
    if "prompt" not in names:
        return None
    return numbered_digests(map(_text, pool.select_columns(["prompt"])["prompt"]))


def numbered_digests(texts: Iterable[str]) -> list[str]:
    """Return a digest of each text, numbered among those of the same text: `1f3a...-2`."""
    seen: Counter[str] = Counter()
    ids = []
    for text in texts:
        digest = hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
        seen[digest] += 1
        ids.append(f"{digest}-{seen[digest]}")
    return ids


def features_of(pool: Any) -> PoolFeatures | None:
    """Return features of a data set's prompts that are known before any rollout.

    The wording of what the user says in `prompt`, and the columns `category`, `difficulty` and
    `choices` where there are such; images are not counted, since that would open them. None where
    the data set has no `prompt`.
    """
    names = pool.column_names or []
    if "prompt" not in names:
        return None
    known = [name for name in ("prompt", "category", "difficulty", "choices") if name in names]
    return prompt_features(
        [
            prompt_of_row(place, row)
            for place, row in enumerate(pool.with_format(None).select_columns(known))
        ]
    )


def prompt_of_row(place: int, row: Mapping[str, Any]) -> Prompt:
    """Return what a row says of its prompt before any rollout, without images."""
    said = row["prompt"]
    if not isinstance(said, str):
        said = "\n".join(
            text_of([message]) for message in said or () if message.get("role") == "user"
        )
    category, difficulty = (
        "" if row.get(name) is None else str(row[name]) for name in ("category", "difficulty")
    )
    choices = tuple(map(str, row.get("choices") or ())) or None
    return Prompt(
        id=str(place),
        question=said,
        answer="",
        category=category,
        difficulty=difficulty,
        choices=choices,
    )


def _text(prompt: Any) -> str:
    """A prompt's text: a string as it is, messages as JSON without their pictures."""
    return (
        prompt
        if isinstance(prompt, str)
        else json.dumps(prompt, sort_keys=True, ensure_ascii=False, default=lambda _: None)
    )
