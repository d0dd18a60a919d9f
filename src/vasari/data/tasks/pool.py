"""Pools of generated prompts: the same seed gives the same bytes, and splits never share a picture.

Which split a scene belongs to is decided by the scene itself: the 64-bit digest of its key modulo
10 (0-7 train, 8 validation, 9 test). So any train pool is disjoint from any test pool, whatever
their seeds, sizes and settings.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Annotated, Any, Literal

import numpy as np

from vasari.core.bounds import Bounds, PositiveCount, Share, check_fields
from vasari.core.errors import ConfigError, DataError
from vasari.core.records import ImageRef, Prompt
from vasari.data.tasks.difficulty import dynamath_level_weights
from vasari.data.tasks.draw import draw
from vasari.data.tasks.families import find_family
from vasari.data.tasks.imperfect import Imperfection, can_become_guessable, spoil
from vasari.data.tasks.problem import Family, Problem
from vasari.data.tasks.styles import HELD_OUT_STYLE, STYLES
from vasari.data.tasks.thinker import Thinker

Split = Literal["train", "validation", "test"]

_RESIDUES: Mapping[Split, frozenset[int]] = MappingProxyType(
    {"train": frozenset(range(8)), "validation": frozenset({8}), "test": frozenset({9})}
)
_MAX_TRIES = 3000
"""Problems drawn for one prompt before its family counts as too small; a test scene is one in
ten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSettings:
    """Settings of generated prompts, except how many: task families, levels, images, mistakes.

    Recipes extend or nest this class.
    """

    families: tuple[str, ...]
    """Names of families; prompts take turns, so that each family has the same share."""

    level_weights: Mapping[str, float] = field(default_factory=dict)
    """Level -> weight with which it is drawn, for the levels that a family has; empty draws all
    levels alike."""

    shape: Literal["none", "dynamath"] = "none"
    """"dynamath" draws levels 1, 2, 3 with the shares of easy, middling and hard questions in
    DynaMath (see `difficulty.dynamath_level_weights`) and takes no `level_weights`."""

    image_size: Annotated[int, Bounds(least=16, most=4096)] = 112
    """Width and height of each image, in pixels."""

    slip_rate: Share = 0.0
    """Chance that a step of the worked solution goes wrong; the reference answer stays right."""

    wrong_label_share: Share = 0.0
    """Share of prompts whose reference answer is another plausible one. Train pools only, like the
    next two."""

    guessable_share: Share = 0.0
    """Share of prompts that are a choice between two options."""

    unsolvable_share: Share = 0.0
    """Share of prompts whose picture is blank."""

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.families or len(set(self.families)) != len(self.families):
            raise ConfigError(
                f"families must name at least one family, each once, got {self.families}"
            )
        if any(not 0 <= weight < float("inf") for weight in self.level_weights.values()):
            raise ConfigError(
                f"level_weights must be finite and not negative, got {dict(self.level_weights)}"
            )
        if self.shape != "none" and self.level_weights:
            raise ConfigError(
                f"shape {self.shape!r} sets the weights of the levels; leave level_weights empty"
            )
        if sum(self.imperfections.values()) > 1.0:
            raise ConfigError(
                f"shares of imperfect prompts must sum to at most 1, got {self.imperfections}"
            )

    @property
    def imperfections(self) -> dict[Imperfection, float]:
        """Share of the prompts with each imperfection: wrong label, guessable, unsolvable."""
        return {
            "wrong_label": self.wrong_label_share,
            "guessable": self.guessable_share,
            "unsolvable": self.unsolvable_share,
        }

    def pool(self, num_prompts: int, **changes: Any) -> PoolSettings:
        """Return `PoolSettings` for `num_prompts` prompts: these settings, updated by `changes`."""
        shown = {one.name: getattr(self, one.name) for one in fields(TaskSettings)}
        return PoolSettings(**(shown | changes), num_prompts=num_prompts)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings(TaskSettings):
    """Settings of a pool of generated prompts: their content, number and drawing styles."""

    num_prompts: PositiveCount
    """Number of prompts in the pool."""

    styles: tuple[str, ...] = STYLES
    """Drawing styles, each equally likely; the held-out style is refused in a train pool."""

    def __post_init__(self) -> None:
        TaskSettings.__post_init__(self)  # `super()` does not know a class with slots
        known = (*STYLES, HELD_OUT_STYLE)
        if not self.styles or not set(self.styles) <= set(known):
            raise ConfigError(f"styles must be some of {known}, got {self.styles}")


def make_pool(
    settings: PoolSettings,
    *,
    split: Split,
    seed: int,
    stream: str = "rl",
    progress: Callable[[int, int], None] | None = None,
    families: Mapping[str, Family] | None = None,
) -> list[Prompt]:
    """Return generated prompts of one split, with drawn images, worked solutions and answers.

    Problems, looks, slips and imperfections come from generators of their own: another slip rate or
    style leaves the problems as they are, and a longer pool begins with the shorter one (when no
    prompt is spoiled).

    `Prompt.metadata` holds "scene" (digest), "style", "slips" (steps that went wrong in the
    solution), "final" (the answer that the solution reaches), "imperfection" (None or its name),
    "facts" ([question, answer] pairs) and "reads" (the part of the solution that says what is to be
    seen).

    Args:
        settings: What the pool holds.
        split: Which scenes it may show; validation and test pools refuse imperfect prompts.
        seed: Not negative.
        stream: Names a purpose; each stream of a split has other prompts (overlaps by chance are
            possible).
        progress: Called with the prompts made and their total.
        families: Families by name; None finds each by its name, ours or a user's.

    Raises:
        ConfigError: A setting does not fit the split, a family is unknown, lacks the levels, or is
            too small.
        DataError: A family's reasoning, without a slip, contradicts its reference answer.
    """
    if families is None:
        families = {name: find_family(name) for name in settings.families}
    _check(settings, split=split, seed=seed, stream=stream, families=families)
    maker = _PoolMaker(settings, split=split, seed=seed, stream=stream)
    prompts = []
    for number, spoiling in enumerate(maker.plan()):
        family = families[settings.families[number % len(settings.families)]]
        prompts.append(maker.make(number, family, spoiling))
        if progress is not None:
            progress(number + 1, settings.num_prompts)
    return prompts


def scene_digest(scene_key: str) -> str:
    """Return the digest, 16 hex digits, of a scene's key (the text of what the picture shows)."""
    return hashlib.blake2b(scene_key.encode(), digest_size=8).hexdigest()


def split_of(digest: str) -> Split:
    """Return the split ("train", "validation" or "test") of the scene that has this digest."""
    residue = int(digest, 16) % 10
    return next(split for split, residues in _RESIDUES.items() if residue in residues)


def check_disjoint(**pools: Sequence[Prompt]) -> None:
    """Check that no two pools of generated prompts show the same scene (picture).

    Raises:
        DataError: Two pools share one (both prompts are named), or a prompt has no scene digest.
    """
    owner: dict[str, tuple[str, str]] = {}
    for name, pool in pools.items():
        for prompt in pool:
            digest = prompt.metadata.get("scene")
            if not isinstance(digest, str):
                raise DataError(
                    f"prompt {prompt.id!r} of pool {name!r} has no scene digest in its metadata"
                )
            other, first = owner.setdefault(digest, (name, prompt.id))
            if other != name:
                raise DataError(
                    f"prompt {prompt.id!r} of pool {name!r} shows the scene of prompt {first!r} of"
                    f" pool {other!r}"
                )


def _check(
    settings: PoolSettings, *, split: str, seed: int, stream: str, families: Mapping[str, Family]
) -> None:
    if split not in _RESIDUES:
        raise ConfigError(f"split must be one of {tuple(_RESIDUES)}, got {split!r}")
    if seed < 0:
        raise ConfigError(f"seed must not be negative, got {seed}")
    if not re.fullmatch(r"[a-z0-9_]+", stream):
        raise ConfigError(
            f"stream must be lower-case letters, digits and underscores, got {stream!r}"
        )
    unknown = [name for name in settings.families if name not in families]
    if unknown:
        raise ConfigError(f"unknown families {', '.join(unknown)}; there are {', '.join(families)}")
    if split != "train" and any(settings.imperfections.values()):
        raise ConfigError(
            f"a {split} pool takes no imperfect prompts, got {settings.imperfections}"
        )
    if split == "train" and HELD_OUT_STYLE in settings.styles:
        raise ConfigError(
            f"style {HELD_OUT_STYLE!r} is held out: draw validation and test pools with it"
        )
    _check_families(settings, families)


def _check_families(settings: PoolSettings, families: Mapping[str, Family]) -> None:
    """Check that families have different names, and each a level with a weight."""
    taken: dict[str, str] = {}
    for name in settings.families:
        other = taken.setdefault(families[name].name, name)
        if other != name:
            raise ConfigError(
                f"families {other} and {name} are both called {families[name].name!r}; rename one"
            )
    strange = set(settings.level_weights).difference(
        *(families[name].levels for name in settings.families)
    )
    if strange:
        raise ConfigError(
            f"level_weights names levels that no family has: {', '.join(sorted(strange))}"
        )
    for name in settings.families:
        _level_chances(settings, families[name])


def _level_chances(settings: PoolSettings, family: Family) -> dict[str, float]:
    """Return the chance with which each level of a task family is drawn."""
    weights: Mapping[str, float] = settings.level_weights or dict.fromkeys(family.levels, 1.0)
    if settings.shape == "dynamath":
        weights = dynamath_level_weights()
    chosen = {level: weights[level] for level in family.levels if weights.get(level, 0.0) > 0}
    if not chosen:
        raise ConfigError(
            f"family {family.name!r} has levels {family.levels}, and none has a weight in"
            f" {dict(weights)}"
        )
    return {level: weight / sum(chosen.values()) for level, weight in chosen.items()}


class _PoolMaker:
    """Maker of the prompts of one pool, one after the other."""

    def __init__(self, settings: PoolSettings, *, split: Split, seed: int, stream: str) -> None:
        self._settings = settings
        self._split = split
        self._stream = stream
        name = int.from_bytes(
            hashlib.blake2b(f"{split}/{stream}".encode(), digest_size=8).digest(), "little"
        )
        children = np.random.SeedSequence([seed, name]).spawn(4)
        self._problems, self._looks, self._teacher, self._spoiler = (
            np.random.default_rng(child) for child in children
        )
        self._seen: set[tuple[str, str]] = set()

    def plan(self) -> list[Imperfection | None]:
        """Return each prompt's imperfection or None: exact shares of the pool, in random order."""
        num = self._settings.num_prompts
        plan: list[Imperfection | None] = [None] * num
        places = iter(self._spoiler.permutation(num))
        for how, share in self._settings.imperfections.items():
            for _ in range(int(share * num + 1e-9)):
                plan[int(next(places))] = how
        return plan

    def make(self, number: int, family: Family, spoiling: Imperfection | None) -> Prompt:
        """Return the pool's prompt number `number`, made from a new problem of `family`."""
        level, problem, digest = self._sample(family, spoiling=spoiling)
        true_answer = problem.answer
        if spoiling is not None:
            problem = spoil(problem, spoiling, family=family, level=level, rng=self._spoiler)
            true_answer = problem.answer if spoiling == "guessable" else true_answer
        thinker = Thinker(rng=self._teacher, slip_rate=self._settings.slip_rate)
        final = problem.think(thinker)
        if thinker.num_slips == 0 and final != true_answer:
            raise DataError(
                f"family {family.name!r}, level {level}: exact reasoning finds {final!r}, the"
                f" reference says {true_answer!r} ({problem.scene_key}: {problem.question})"
            )
        style = self._settings.styles[int(self._looks.integers(len(self._settings.styles)))]
        metadata: dict[str, Any] = {
            "scene": digest,
            "style": style,
            "slips": thinker.num_slips,
            "final": final,
            "imperfection": spoiling,
            "facts": [[fact.question, fact.answer] for fact in problem.facts],
            "reads": ". ".join(thinker.reads),
        }
        return Prompt(
            id=f"{self._split}-{self._stream}-{family.name}-{level}-{number:05d}-{digest[:8]}",
            question=problem.question,
            answer=problem.answer,
            images=(
                ImageRef(data=draw(problem.scene, style=style, size=self._settings.image_size)),
            ),
            choices=problem.choices,
            kind=problem.kind,
            category=family.name,
            difficulty=level,
            solution=thinker.text(),
            metadata=metadata,
        )

    def _sample(self, family: Family, *, spoiling: Imperfection | None) -> tuple[str, Problem, str]:
        """Return a level, a new problem of it for this split, and its scene's digest."""
        chances = _level_chances(self._settings, family)
        level = str(self._problems.choice(list(chances), p=list(chances.values())))
        for _ in range(_MAX_TRIES):
            problem = family.sample(self._problems, level)
            key = (problem.scene_key, problem.question)
            digest = scene_digest(problem.scene_key)
            unfit = spoiling == "guessable" and not can_become_guessable(problem)
            if split_of(digest) != self._split or key in self._seen or unfit:
                continue
            self._seen.add(key)
            return level, problem, digest
        raise ConfigError(
            f"family {family.name!r}, level {level}, is too small: no new problem for the"
            f" {self._split} split in {_MAX_TRIES} tries, after {len(self._seen)} prompts; ask for"
            " fewer prompts or more families"
        )
