"""Base class of samplers, which draw prompts, learn from groups, and can be saved and resumed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vasari.core.errors import ConfigError, DataError, StateError
from vasari.core.records import Draw, GroupOutcome, PromptIndices, Role
from vasari.sample.pool import Pool, read_array

SCHEMA = 2
"""Version number of `state_dict`; version 1 stored the batch number as `step`."""


class BatchClock:
    """Counter of a training run's batches.

    The present batch's number is the one that `due` was last called with; in a loop that never
    calls `due`, every draw begins a batch.
    """

    def __init__(self) -> None:
        self.now = 0
        """Number of the present batch, to which newly observed groups belong."""
        self._num_draws = 0
        self._is_set = False

    def set_batch(self, batch: int) -> None:
        """Set the present batch's number to `batch`, which the sampler's `due` was given."""
        self.now, self._is_set = int(batch), True

    def count_draw(self) -> None:
        """Count a draw; if `due` was never called, each draw after the first begins a new batch."""
        if not self._is_set and self._num_draws:
            self.now += 1
        self._num_draws += 1

    def batch_of(self, batch: int | None) -> int:
        """Return the number of a group's batch: `batch`, or the present batch's number if None.

        A later batch than the present one becomes the present one.
        """
        if batch is None:
            return self.now
        self.now = max(self.now, int(batch))
        return int(batch)

    def state(self) -> dict[str, Any]:
        """Return this counter's state as JSON values, to be saved."""
        return {"now": self.now, "num_draws": self._num_draws, "asked": self._is_set}

    def restored(self, state: Mapping[str, Any], origin: Any = None) -> BatchClock:  # noqa: ARG002
        """Return a batch counter that continues from a saved state; `origin` is not used.

        Raises:
            StateError: A saved number of draws below 0.
        """
        clock = BatchClock()
        clock.now, clock._is_set = int(state["now"]), bool(state["asked"])
        clock._num_draws = int(state["num_draws"])
        if clock._num_draws < 0:
            raise StateError(f"sampler state is damaged: {clock._num_draws} draws")
        return clock


class PromptSampler(ABC):
    """Base class of samplers, which decide which prompts are rolled out next.

    A trainer's loop: roll out what is `due`, `observe` it, `draw` a batch, roll it out, `observe`
    every group before any filter. A subclass says how prompts are drawn (`_draw`), what is learnt
    (`_observe`) and what its state is (`saved_by_prompt` and `saved`, or `_state` and `_restore`);
    size checks, the pool's identity and the generator are kept here. `check_prompt_sampler` tests
    it.
    """

    name: ClassVar[str] = ""
    """The sampler's name in saved state; by default a subclass's module and class."""

    saved_by_prompt: ClassVar[Mapping[str, float]] = {}
    """Names of the saved [prompts] arrays, each with its value for a prompt never seen; `x` stands
    for the attribute `_x`."""

    saved: ClassVar[Sequence[str]] = ()
    """Names of the other saved attributes: numbers, objects with `state` and `restored`, and arrays
    of prompts, which are emptied for a changed pool. `x` stands for the attribute `_x`."""

    def __init__(
        self, *, num_prompts: int, seed: int, prompt_ids: Iterable[str] | None = None
    ) -> None:
        """Create a sampler over a pool of `num_prompts` prompts.

        Args:
            num_prompts: Size of the pool.
            seed: Seed of the sampler's own generator, at least 0.
            prompt_ids: One unique id a prompt. With ids, saved state is refused for another pool
                even if its size is the same, and can be mapped to a changed one.

        Raises:
            ConfigError: The pool is empty or the seed is not a whole number of at least 0.
            DataError: Not one id a prompt, or an id that stands twice.
        """
        for label, value, least in (("num_prompts", num_prompts, 1), ("seed", seed, 0)):
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
                raise ConfigError(
                    f"{label} must be a whole number of at least {least}, got {value!r}"
                )
        self._pool = Pool(int(num_prompts), prompt_ids)
        self._rng = np.random.default_rng(int(seed))
        self._clock = BatchClock()

    @property
    def num_prompts(self) -> int:
        """Number of prompts in the pool."""
        return self._pool.num_prompts

    @property
    def made_with(self) -> Any:
        """Settings (a dataclass) to compare with the saved run's when a run is resumed, or None.

        By default that of the attribute `settings`.
        """
        return getattr(self, "settings", None)

    @property
    def unique(self) -> bool:
        """Whether a batch holds each prompt at most once."""
        return True

    @property
    def uses_logprobs(self) -> bool:
        """Whether the sampler learns from token log-probabilities (the `confidence` of groups).

        A trainer then computes log-probabilities even where it would not otherwise.
        """
        return False

    @property
    def refresh_every(self) -> int:
        """Number of batches between refreshes (rollouts that re-estimate scores); 0: never."""
        return 0

    def scores(self) -> NDArray[np.float64] | None:
        """Return each prompt's score for the next draw: [prompts], higher = drawn more; or None."""
        return None

    def scores_of(self, indices: PromptIndices) -> NDArray[np.float64] | None:
        """Return the scores of the prompts `indices`; None from a sampler that has none."""
        scores = self.scores()
        return None if scores is None else scores[indices]

    @property
    def num_rollouts_due(self) -> int:
        """Number of extra rollouts of each prompt that `due` returns; 0 if it returns none."""
        return 0

    def draw(self, num_prompts: int) -> Draw:
        """Draw the next batch: int64 indices into the pool, each with its role (why it was drawn).

        Raises:
            ConfigError: Fewer than 1 prompt asked for, or more than the pool has without
                replacement.
        """
        if num_prompts < 1:
            raise ConfigError(f"a batch needs at least 1 prompt, got {num_prompts}")
        if self.unique and num_prompts > self.num_prompts:
            raise ConfigError(
                f"a batch of {num_prompts} prompts cannot be drawn from {self.num_prompts} without"
                " replacement"
            )
        self._clock.count_draw()
        return self._draw(int(num_prompts))

    def observe(self, groups: Sequence[GroupOutcome]) -> None:
        """Learn from new groups; pass all groups, unfiltered, also groups of equal rewards.

        Raises:
            DataError: A group's prompt is not in the pool; nothing was learnt then.
        """
        for group in groups:
            if not 0 <= group.index < self.num_prompts:
                raise DataError(
                    f"group of prompt {group.index}: the pool has prompts 0 to"
                    f" {self.num_prompts - 1}"
                )
        self._observe(groups)

    def due(self, batch: int) -> PromptIndices:
        """Return the prompts (int64 indices) that need extra rollouts before `batch` is drawn.

        Args:
            batch: The number of the batch, counted from 0.

        Returns:
            Prompts to roll out `num_rollouts_due` times each and to observe with purpose `refresh`;
            none for a sampler without refreshes, for which only the count of batches advances.
        """
        self._clock.set_batch(batch)
        return np.zeros(0, dtype=np.int64)

    @abstractmethod
    def metrics(self) -> Mapping[str, float]:
        """Return the sampler's metrics for a log line, named `sampler/...`."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state from which a resumed sampler draws the same batches as this sampler.

        JSON values and plain arrays, which the sampler does not change later.
        """
        return {
            "schema": SCHEMA,
            "sampler": self._full_name,
            "rng": self._rng.bit_generator.state,
            "pool": self._pool.state(),
            "state": self._state(),
        }

    def load_state_dict(self, state: Mapping[str, Any], *, remap: bool = False) -> None:
        """Load a saved state, so that this sampler draws the batches the saved sampler would draw.

        Args:
            state: From `state_dict`; lists may stand for arrays, as after JSON.
            remap: Map a changed pool by prompt id instead of refusing it: known prompts keep what
                was learnt of them, new ones start as unseen.

        Raises:
            StateError: Another schema, sampler or pool (the difference is named), or a damaged
                state. The sampler is unchanged then.
        """
        found = state.get("schema") if isinstance(state, Mapping) else None
        if found not in (1, SCHEMA):
            raise StateError(f"sampler state has schema {found!r}, expected {SCHEMA}")
        if state.get("sampler") != self._full_name:
            raise StateError(
                f"state is of sampler {state.get('sampler')!r}, not of {self._full_name!r}"
            )
        try:
            origin = self._pool.origin(state["pool"], remap=remap)
            rng = np.random.default_rng(0)
            rng.bit_generator.state = state["rng"]
            self._restore(state["state"] if found == SCHEMA else in_batches(state["state"]), origin)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise StateError(
                f"sampler state is damaged: {type(error).__name__}: {error}"
            ) from error
        self._rng = rng

    @property
    def _full_name(self) -> str:
        return self.name or f"{type(self).__module__}:{type(self).__qualname__}"

    @abstractmethod
    def _draw(self, num_prompts: int) -> Draw:
        """Draw the next batch of `num_prompts` prompts, a number that `draw` has checked."""

    @abstractmethod
    def _observe(self, groups: Sequence[GroupOutcome]) -> None:
        """Learn from groups whose prompt indices `observe` has checked."""

    def _state(self) -> dict[str, Any]:
        """Return the subclass's state: JSON values and array copies, by default all saved names."""
        state = {name: getattr(self, f"_{name}") for name in self._saved_names()}
        if not state:
            raise NotImplementedError(
                f"{type(self).__name__} must say what its state is: declare saved_by_prompt or"
                " saved, or override _state and _restore"
            )
        for name, value in state.items():
            if isinstance(value, np.ndarray):
                state[name] = value.copy()
            elif hasattr(value, "restored"):
                state[name] = value.state()
        return state

    def _restore(self, state: Mapping[str, Any], origin: NDArray[np.int64] | None) -> None:
        """Load a state that `_state` returned, or raise and change nothing.

        Args:
            state: From `_state`.
            origin: None for the same pool; else [prompts] each prompt's index in the saved pool, -1
                for a new prompt.
        """
        for name, value in self._read(state, origin).items():
            setattr(self, f"_{name}", value)

    def _read(self, state: Mapping[str, Any], origin: NDArray[np.int64] | None) -> dict[str, Any]:
        """Return the saved attributes by name, checked and in the order of the present pool."""
        found: dict[str, Any] = {}
        for name in self._saved_names():
            now = getattr(self, f"_{name}")
            if name in self.saved_by_prompt:
                missing = self.saved_by_prompt[name]
                found[name] = self._carried(state, name, origin, dtype=now.dtype, missing=missing)
            elif isinstance(now, np.ndarray):
                saved = read_array(state, name, dtype=now.dtype)
                found[name] = saved if origin is None else saved[:0]
            elif hasattr(now, "restored"):
                found[name] = now.restored(state[name], origin)
            else:
                found[name] = type(now)(state[name])
        self._check_saved(found)
        return found

    def _carried(
        self,
        state: Mapping[str, Any],
        name: str,
        origin: NDArray[np.int64] | None,
        *,
        dtype: Any,
        missing: float,
    ) -> NDArray[Any]:
        """Return a saved [prompts] array in the present pool's order; new prompts get `missing`.

        Raises:
            StateError: The array has another length than the pool it was saved for.
        """
        saved = read_array(state, name, dtype=dtype)
        if origin is None and len(saved) != self.num_prompts:
            raise StateError(
                f"saved {name!r} has {len(saved)} entries for {self.num_prompts} prompts"
            )
        if origin is None or not len(saved):
            return saved
        if origin.max() >= len(saved):
            raise StateError(f"saved {name!r} has {len(saved)} entries, fewer than its pool")
        return np.where(origin >= 0, saved[np.maximum(origin, 0)], missing).astype(dtype)

    def _saved_names(self) -> tuple[str, ...]:
        return (*self.saved_by_prompt, *self.saved)

    def _check_saved(self, found: Mapping[str, Any]) -> None:  # noqa: B027
        """Raise ValueError if the saved attributes `found` (by name) cannot come from any run."""


_NONE = np.zeros(0, dtype=np.int64)


def draw_of(
    *,
    promoted: NDArray[np.int64] = _NONE,
    uniform: NDArray[np.int64] = _NONE,
    revisit: NDArray[np.int64] = _NONE,
) -> Draw:
    """Build a batch of prompts drawn by score, drawn at random, and drawn after a long pause."""
    roles: list[Role] = ["promoted"] * len(promoted)
    roles += ["uniform"] * len(uniform)
    roles += ["revisit"] * len(revisit)
    return Draw(np.concatenate([promoted, uniform, revisit]), tuple(roles))


def in_batches(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a saved state with the key `batch` filled in from `step`, its name in schema 1."""
    return {"batch": state["step"], **state} if "step" in state else dict(state)
