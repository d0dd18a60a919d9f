"""Gates: which groups train, decided after their rollouts."""

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
"""Rewards that differ by no more are equal: such a group has no advantages."""


class Gate(ABC):
    """Decides which groups of a batch train, and whether other prompts replace the refused ones.

    A gate that only looks at groups overrides `admit`. One that remembers prompts overrides
    `_state` and `_restore` too. One that screens, which is to give a drawn prompt a few rollouts
    before the rest of its group, says how many in `num_screening`. `check_gate` tests it.
    """

    name: ClassVar[str] = ""
    """The gate's name in saved state; a subclass without one has its module and class for it."""

    @abstractmethod
    def admit(self, outcomes: Sequence[GroupOutcome]) -> Admission:
        """Which groups train, how many prompts to draw in place of others, which screenings go on.

        Rewards are what the learner sees; nan marks an unverifiable rollout. Under a gate that
        screens, a group of fewer than `num_rollouts` is a screening.
        """

    @property
    def made_with(self) -> Any:
        """The dataclass of settings by which a resumed run is compared, or None.

        By default that of the attribute `settings`.
        """
        return getattr(self, "settings", None)

    @property
    def num_screening(self) -> int:
        """Rollouts that screen a drawn prompt first; 0 where it gets its whole group at once."""
        return 0

    @property
    def num_rollouts(self) -> int | None:
        """Rollouts of a whole group for a gate that must know them, or None."""
        return None

    @property
    def redraws(self) -> bool:
        """Whether the gate may ask for other prompts or more rollouts.

        A batch may then take several generations.
        """
        return True

    def wanted(self, indices: ArrayLike, batch: int) -> NDArray[np.bool_]:  # noqa: ARG002
        """Which of these prompts may be drawn for this batch, as bools: by default all."""
        return np.ones(len(np.asarray(indices)), dtype=np.bool_)

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed gate needs: JSON values and plain arrays, nothing shared."""
        return {"schema": SCHEMA, "gate": self._full_name, "state": self._state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state, of the same pool.

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
        """The subclass's own state: JSON values and copies of arrays."""
        return {}

    def _restore(self, state: Mapping[str, Any]) -> None:  # noqa: B027
        """Continue from a saved `_state`, or raise and change nothing."""


@final
class AllGate(Gate):
    """Admits every group with two verifiable rollouts or more, and asks for no other prompts."""

    name: ClassVar[str] = "all"

    @property
    def redraws(self) -> bool:
        """False: it never asks for other prompts or more rollouts."""
        return False

    def admit(self, outcomes: Sequence[GroupOutcome]) -> Admission:
        """Which groups train; nothing is drawn in place of the others."""
        admitted = [verifiable_rewards(group).size >= 2 for group in outcomes]
        return Admission(np.array(admitted, dtype=np.bool_))


@final
class MixedGate(Gate):
    """Admits groups whose rewards are not all equal, and asks for as many prompts as it refused.

    Dynamic sampling of DAPO (arXiv:2503.14476). The trainer sets how often it draws again.
    """

    name: ClassVar[str] = "mixed"

    def admit(self, outcomes: Sequence[GroupOutcome]) -> Admission:
        """Which groups train, and one prompt for each refused group."""
        admitted = np.array([has_variance(group) for group in outcomes], dtype=np.bool_)
        return Admission(admitted, redraw=int((~admitted).sum()))


def verifiable_rewards(group: GroupOutcome) -> NDArray[np.float64]:
    """The rewards of a group's verifiable rollouts."""
    return group.rewards[~np.isnan(group.rewards)]


def has_variance(group: GroupOutcome) -> bool:
    """Whether the rewards of a group's verifiable rollouts are not all equal."""
    rewards = verifiable_rewards(group)
    return rewards.size >= 2 and float(rewards.max() - rewards.min()) > EQUAL_WITHIN
