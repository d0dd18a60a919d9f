"""The checker passes every gate of ours and says what is broken in a broken one."""

from typing import ClassVar

import numpy as np
import pytest

from vasari.records import Admission
from vasari.sample import AllGate, Gate, MixedGate, check_gate, make_gate


@pytest.mark.parametrize(
    "make",
    [
        AllGate,
        MixedGate,
        lambda: make_gate("two_stage"),
        lambda: make_gate("two_stage", preset="pilot-commit"),
        lambda: make_gate("two_stage", defer_batches=3, evict_after=2, low=0.3),
    ],
)
def test_our_gates_keep_the_contract(make):
    check_gate(make)


class Broken(Gate):
    """Keeps the contract but for what a test breaks."""

    name: ClassVar[str] = "broken"

    def admit(self, outcomes):
        fine = [(~np.isnan(group.rewards)).sum() >= 2 for group in outcomes]
        return Admission(np.array(fine, dtype=np.bool_))


class Shuffling(Broken):
    def admit(self, outcomes):
        return Admission(
            super().admit(outcomes).admitted & (np.random.default_rng().random(len(outcomes)) < 0.5)
        )


class Forgetful(Broken):
    def __init__(self):
        self.count = 0

    def admit(self, outcomes):
        self.count += 1
        return Admission(super().admit(outcomes).admitted & (self.count % 5 > 0))


class Sharing(Forgetful):
    def __init__(self):
        self.counts = np.zeros(1, dtype=np.int64)

    @property
    def count(self):
        return int(self.counts[0])

    @count.setter
    def count(self, value):
        self.counts[0] = value

    def _state(self):
        return {"counts": self.counts}

    def _restore(self, state):
        self.counts = np.array(state["counts"])


class Spoiling(Broken):
    def admit(self, outcomes):
        admission = super().admit(outcomes)
        for group in outcomes:
            group.rewards[:] = 0.0
        return admission


def admits(admission):
    return type("Admits", (Broken,), {"admit": lambda self, outcomes: admission(outcomes)})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (object, "make returned object, not a Gate"),
        (admits(lambda outcomes: None), "admit returned NoneType, not an Admission"),
        (
            admits(lambda outcomes: Admission(np.ones(len(outcomes)))),
            "admitted must be an array of bool, got float64",
        ),
        (
            admits(lambda outcomes: Admission(np.ones(1, dtype=bool))),
            r"admitted has shape \(1,\) for 6 groups",
        ),
        (
            admits(lambda outcomes: Admission(np.ones(len(outcomes), dtype=bool))),
            "a group with 0 verifiable rollouts was admitted",
        ),
        (
            admits(lambda outcomes: Admission(np.zeros(len(outcomes), dtype=bool), redraw=9)),
            "redraw must be between 0 and 6, got 9",
        ),
        (
            admits(
                lambda outcomes: Admission(
                    np.zeros(len(outcomes), dtype=bool), more=np.ones(len(outcomes), dtype=int)
                )
            ),
            "must say num_screening",
        ),
        (Shuffling, "two gates of one history decide differently"),
        (Forgetful, "a gate resumed from a file does not decide as the one that was saved"),
        (Sharing, "it shares its arrays"),
        (Spoiling, "admit changed the groups that it was shown"),
        (
            type("Never", (Broken,), {"num_screening": 8, "num_rollouts": 8}),
            "num_screening must be below",
        ),
        (
            type("Wants", (Broken,), {"wanted": lambda self, indices, batch: [True] * 6}),
            "wanted must return an array of bool",
        ),
    ],
)
def test_a_broken_gate_is_named(make, message):
    with pytest.raises(AssertionError, match=message):
        check_gate(make)
