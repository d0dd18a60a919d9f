"""Gates: rules that decide, after the rollouts, which groups train."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vasari.core.errors import StateError
from vasari.core.records import Admission, GroupOutcome

SCHEMA = 1
"""Version of a gate's `state_dict`."""

EQUAL_WITHIN = 1e-9
"""Largest difference of equal rewards; a group of equal rewards has no advantages."""


class Gate(ABC):
    """Base class of gates: rules on which groups train and whether refused prompts are replaced.

    A gate that only looks at groups overrides `admit`. One that remembers prompts overrides
    `_state` and `_restore` too. One that screens, which is to give a drawn prompt a few rollouts
    before the rest of its group, says how many in `num_screening`. `check_gate` tests it.
    """

    name: ClassVar[str] = ""
    """The gate's name in saved state; by default a subclass's module and class."""

    @abstractmethod
    def admit(self, outcomes: Sequence[GroupOutcome]) -> Admission:
        """Decide which groups train, which get more rollouts, and how many new prompts to draw.

        Rewards are what the learner sees; nan marks an unverifiable rollout. Under a gate that
        screens, a group of fewer than `num_rollouts` is a screening.
        """

    @property
    def made_with(self) -> Any:
        """Settings (a dataclass) to compare with the saved run's when a run is resumed, or None.

        By default that of the attribute `settings`.
        """
        return getattr(self, "settings", None)

    @property
    def num_screening(self) -> int:
        """Number of trial rollouts of a prompt before the rest of its group; 0 for no trial."""
        return 0

    @property
    def num_rollouts(self) -> int | None:
        """Number of rollouts in a whole group, or None for a gate that need not know it."""
        return None

    @property
    def redraws(self) -> bool:
        """Whether the gate may ask for replacement prompts or for more rollouts of a prompt.

        A batch may then take several generations.
        """
        return True

    def wanted(self, indices: ArrayLike, batch: int) -> NDArray[np.bool_]:  # noqa: ARG002
        """Return a boolean mask of the prompts `indices` that may be drawn now; by default all."""
        return np.ones(len(np.asarray(indices)), dtype=np.bool_)

    def state_dict(self) -> dict[str, Any]:
        """Return the gate's state for resuming a run: JSON values and copies of arrays."""
        return {"schema": SCHEMA, "gate": self._full_name, "state": self._state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load the gate's saved state, which must be of the same pool of prompts.

        Raises:
            StateError: Another schema or gate, or a damaged state. The gate is unchanged then.
        """
        if not isinstance(state, Mapping) or state.get("schema") != SCHEMA:
            found = state.get("schema") if isinstance(state, Mapping) else None
            raise StateError(f"gate state has schema {found!r}, expected {SCHEMA}")
        if state.get("gate") != self._full_name:
            raise StateError(f"state is of gate {state.get('gate')!r}, not of {self._full_name!r}")
        try:
            self._restore(state["state"])
        except (KeyError, TypeError, ValueError) as error:
            raise StateError(f"gate state is damaged: {type(error).__name__}: {error}") from error

    @property
    def _full_name(self) -> str:
        return self.name or f"{type(self).__module__}:{type(self).__qualname__}"

    def _state(self) -> dict[str, Any]:
        """Return the subclass's state: JSON values and copies of arrays."""
        return {}

    def _restore(self, state: Mapping[str, Any]) -> None:  # noqa: B027
        """Load a state that `_state` returned, or raise and change nothing."""


@final
class AllGate(Gate):
    """Gate that lets every group of two or more verifiable rollouts train; replaces no prompt."""

    name: ClassVar[str] = "all"

    @property
    def redraws(self) -> bool:
        """False: this gate never asks for replacement prompts or for more rollouts."""
        return False

    def admit(self, outcomes: Sequence[GroupOutcome]) -> Admission:
        """Let groups of two or more verifiable rollouts train; ask for no new prompts."""
        admitted = [verifiable_rewards(group).size >= 2 for group in outcomes]
        return Admission(np.array(admitted, dtype=np.bool_))


@final
class MixedGate(Gate):
    """Gate that lets only groups of unequal rewards train, and replaces the other prompts.

    Dynamic sampling of DAPO (arXiv:2503.14476). The trainer sets how often it draws again.
    """

    name: ClassVar[str] = "mixed"

    def admit(self, outcomes: Sequence[GroupOutcome]) -> Admission:
        """Let groups of unequal rewards train; ask for one new prompt for each other group."""
        admitted = np.array([has_variance(group) for group in outcomes], dtype=np.bool_)
        return Admission(admitted, redraw=int((~admitted).sum()))


def verifiable_rewards(group: GroupOutcome) -> NDArray[np.float64]:
    """Return the rewards of a group's verifiable rollouts."""
    return group.rewards[~np.isnan(group.rewards)]


def has_variance(group: GroupOutcome) -> bool:
    """Whether the rewards of a group's verifiable rollouts are not all equal."""
    rewards = verifiable_rewards(group)
    return rewards.size >= 2 and float(rewards.max() - rewards.min()) > EQUAL_WITHIN
