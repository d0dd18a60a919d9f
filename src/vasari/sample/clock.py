"""The number of the present batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vasari.core.errors import StateError


class BatchClock:
    """Counts batches.

    The number of the present batch is the one that `due` was last called with; in a loop that never
    calls `due`, every draw begins a batch.
    """

    def __init__(self) -> None:
        self.now = 0
        """The present batch; groups are observed at it."""
        self._num_draws = 0
        self._asked = False

    def ask(self, batch: int) -> None:
        """Note that `due` was called for this batch."""
        self.now, self._asked = int(batch), True

    def draw(self) -> None:
        """Note that a batch is about to be drawn."""
        if not self._asked and self._num_draws:
            self.now += 1
        self._num_draws += 1

    def saw(self, batch: int | None) -> int:
        """The batch at which a group was rolled out, from its `batch`; None is the present one.

        A later batch than the present one becomes the present one.
        """
        if batch is None:
            return self.now
        self.now = max(self.now, int(batch))
        return int(batch)

    def state(self) -> dict[str, Any]:
        """JSON values."""
        return {"now": self.now, "num_draws": self._num_draws, "asked": self._asked}

    def restored(self, state: Mapping[str, Any], origin: Any = None) -> BatchClock:  # noqa: ARG002
        """A clock that goes on from a saved one, whatever the pool is.

        Raises:
            StateError: A saved number of draws below 0.
        """
        clock = BatchClock()
        clock.now, clock._asked = int(state["now"]), bool(state["asked"])
        clock._num_draws = int(state["num_draws"])
        if clock._num_draws < 0:
            raise StateError(f"sampler state is damaged: {clock._num_draws} draws")
        return clock
