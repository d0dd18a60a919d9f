"""A checker that every gate (rule on which groups train) must pass, ours or a user's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from vasari.core.errors import StateError
from vasari.core.records import Admission, GroupOutcome
from vasari.sample.check import check_resume, require
from vasari.sample.gate import Gate

_NUM_ROLLOUTS = 8
_NUM_PROMPTS = 6
_NUM_BATCHES = 12


def check_gate(make: Callable[[], Gate]) -> None:
    """Check that gates (rules on which groups train) made by `make` behave as `Gate` requires.

    Args:
        make: Called without arguments, several times; each call gives a gate that knows nothing
            yet.

    Raises:
        AssertionError: A part of the contract is broken; the message says which.
    """
    gate = make()
    require(isinstance(gate, Gate), f"make returned {type(gate).__name__}, not a Gate")
    size = gate.num_rollouts or max(_NUM_ROLLOUTS, gate.num_screening + 1)
    require(size >= 2, f"num_rollouts must be at least 2 or None, got {gate.num_rollouts}")
    require(
        0 <= gate.num_screening < size,
        f"num_screening must be below the {size} rollouts of a whole group, and 0 for none; got"
        f" {gate.num_screening}",
    )
    require(
        gate.redraws or not gate.num_screening,
        "a gate that screens asks for more rollouts: redraws must be True",
    )
    for kind in _GROUPS:
        _check_admission(
            make(), [_group(index, kind, size, batch=0) for index in range(_NUM_PROMPTS)]
        )
    _check_admission(make(), [])
    require(_run(make(), size) == _run(make(), size), "two gates of one history decide differently")
    one = make()
    _run(one, size)
    check_resume(one, make(), partial(_run, size=size, start=_NUM_BATCHES), what="gate")
    _check_foreign_state(make())


_GROUPS: Mapping[str, Callable[[np.random.Generator, int], NDArray[np.float64]]] = {
    "right": lambda _, n: np.ones(n),
    "wrong": lambda _, n: np.zeros(n),
    "mixed": lambda rng, n: rng.permutation(np.arange(n) % 2).astype(float),
    "graded": lambda rng, n: rng.random(n),
    "unverifiable": lambda _, n: np.full(n, np.nan),
    "one verifiable": lambda _, n: np.where(np.arange(n) == 0, 1.0, np.nan),
}
"""Functions that make the rewards of a group of n rollouts, by kind of group."""


def _group(index: int, kind: str, size: int, *, batch: int) -> GroupOutcome:
    rewards = _GROUPS[kind](np.random.default_rng([index, batch]), size)
    verdicts = np.where(np.isnan(rewards), np.nan, rewards >= 0.5)
    tokens = [np.arange(3, dtype=np.int32)] * size
    return GroupOutcome(
        index=index, rewards=rewards, verdicts=verdicts, token_ids=tokens, batch=batch
    )


def _check_admission(gate: Gate, outcomes: list[GroupOutcome]) -> Admission:
    before = [group.rewards.copy() for group in outcomes]
    admission = gate.admit(outcomes)
    require(
        isinstance(admission, Admission),
        f"admit returned {type(admission).__name__}, not an Admission",
    )
    admitted, more = np.asarray(admission.admitted), np.asarray(admission.more)
    require(admitted.dtype == np.bool_, f"admitted must be an array of bool, got {admitted.dtype}")
    require(
        admitted.shape == (len(outcomes),),
        f"admitted has shape {admitted.shape} for {len(outcomes)} groups",
    )
    require(
        more.size in (0, len(outcomes)), f"more has {more.size} entries for {len(outcomes)} groups"
    )
    require(bool((more >= 0).all()), "more must be at least 0")
    require(
        gate.num_screening > 0 or not more.any(),
        "a gate that asks for more rollouts must say num_screening",
    )
    require(
        0 <= admission.redraw <= len(outcomes),
        f"redraw must be between 0 and {len(outcomes)}, got {admission.redraw}",
    )
    require(
        gate.redraws or not admission.redraw,
        "a gate that asks for other prompts must say so in redraws",
    )
    unchanged = all(
        np.array_equal(old, group.rewards, equal_nan=True)
        for old, group in zip(before, outcomes, strict=True)
    )
    require(unchanged, "admit changed the groups that it was shown")
    for group, trains in zip(outcomes, admitted.tolist(), strict=True):
        verifiable = int((~np.isnan(group.rewards)).sum())
        require(
            not trains or verifiable >= 2,
            f"a group with {verifiable} verifiable rollouts was admitted; it has no advantage",
        )
    return admission


def _run(gate: Gate, size: int, *, start: int = 0) -> list[list[object]]:
    """Run a gate over some batches; return which prompts it wants and which groups it admits."""
    decided = []
    for batch in range(start, start + _NUM_BATCHES):
        indices = np.arange(_NUM_PROMPTS)
        wanted = gate.wanted(indices, batch)
        require(
            isinstance(wanted, np.ndarray)
            and wanted.dtype == np.bool_
            and wanted.shape == indices.shape,
            "wanted must return an array of bool, one for each prompt",
        )
        kinds = list(_GROUPS)
        length = gate.num_screening or size
        groups = [
            _group(index, kinds[(index + batch) % len(kinds)], length, batch=batch)
            for index in indices.tolist()
        ]
        admission = _check_admission(gate, groups)
        decided.append(
            [
                wanted.tolist(),
                admission.admitted.tolist(),
                admission.redraw,
                admission.more.tolist(),
            ]
        )
    return decided


def _check_foreign_state(gate: Gate) -> None:
    try:
        gate.load_state_dict({**gate.state_dict(), "gate": "another"})
    except StateError:
        return
    raise AssertionError("the state of another gate was loaded without a StateError")
