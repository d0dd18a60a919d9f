"""The batches that a sampler has seen go by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vasari.core.errors import StateError


class BatchClock:
    """Counts batches by the numbers that `due` is asked with; in a loop that never asks, every draw
    begins a batch.
    """

    def __init__(self) -> None:
        self.now = 0
        """The present batch; groups are observed at it."""
        self._num_draws = 0
        self._asked = False

    def ask(self, batch: int) -> None:
        """`due` was asked at this batch."""
        self.now, self._asked = int(batch), True

    def draw(self) -> None:
        """A batch is about to be drawn."""
        if not self._asked and self._num_draws:
            self.now += 1
        self._num_draws += 1

    def saw(self, batch: int | None) -> int:
        """The batch at which a group was rolled out: its own, to which the present moves up, or the
        present one for None.
        """
        if batch is None:
            return self.now
        self.now = max(self.now, int(batch))
        return int(batch)

    def state(self) -> dict[str, Any]:
        """JSON values."""
        return {"now": self.now, "num_draws": self._num_draws, "asked": self._asked}

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> BatchClock:
        """A clock that goes on from a saved one.

        Raises:
            StateError: A saved number of draws below 0.
        """
        clock = cls()
        clock.now, clock._num_draws, clock._asked = (
            int(state["now"]),
            int(state["num_draws"]),
            bool(state["asked"]),
        )
        if clock._num_draws < 0:
            raise StateError(f"sampler state is damaged: {clock._num_draws} draws")
        return clock
