"""A checker that every prompt sampler must pass, ours or a user's."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vasari.core.errors import ConfigError, StateError
from vasari.core.records import Draw, GroupOutcome
from vasari.sample.base import PromptSampler
from vasari.sample.state_file import load_state, save_state

_POOL = 40
_BATCH = 8


def check_prompt_sampler(make: Callable[..., PromptSampler], *, unique: bool = True) -> None:
    """Check that prompt samplers made by `make` behave as `PromptSampler` requires.

    Args:
        make: Called as `make(num_prompts=..., seed=..., prompt_ids=...)`; arguments that it does
            not name are left out.
        unique: Whether a prompt may stand only once in a batch.

    Raises:
        AssertionError: A part of the contract is broken; the message says which.
    """
    build = _builder(make)
    _check_draws(build(), unique=unique)
    _check_reproducible(build(), build())
    one, other = build(), build()
    _run(one, start=0, num_steps=7)
    _run(other, start=0, num_steps=2)
    check_resume(one, other, partial(_run, start=7, num_steps=10), what="sampler")
    _check_remap(build(), build(backwards=True))
    _check_hard_groups(build(), unique=unique)
    _check_pool(build)
    if unique:
        _check_batch_limit(build())


def _builder(make: Callable[..., PromptSampler]) -> Callable[..., PromptSampler]:
    parameters = inspect.signature(make).parameters
    takes_all = any(
        parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()
    )

    def build(
        num_prompts: int = _POOL, prefix: str = "prompt", *, backwards: bool = False
    ) -> PromptSampler:
        ids = [f"{prefix}-{place}" for place in range(num_prompts)]
        ids = ids[::-1] if backwards else ids
        wanted: dict[str, Any] = {"num_prompts": num_prompts, "seed": 7, "prompt_ids": ids}
        sampler = make(
            **{key: value for key, value in wanted.items() if takes_all or key in parameters}
        )
        require(
            isinstance(sampler, PromptSampler),
            f"make returned {type(sampler).__name__}, not a PromptSampler",
        )
        return sampler

    return build


def require(holds: bool, message: str) -> None:
    """Raise AssertionError with `message` unless `holds` is True."""
    if not holds:
        raise AssertionError(message)


def _check_draw(draw: Draw, sampler: PromptSampler, num: int, *, unique: bool) -> None:
    indices = draw.indices
    require(
        isinstance(indices, np.ndarray) and indices.dtype == np.int64,
        "draw.indices must be an int64 array",
    )
    require(
        indices.shape == (num,), f"a draw of {num} prompts has indices of shape {indices.shape}"
    )
    require(len(draw.roles) == num, f"a draw of {num} prompts has {len(draw.roles)} roles")
    require(
        set(draw.roles) <= {"promoted", "uniform", "revisit"}, f"unknown roles in {set(draw.roles)}"
    )
    require(
        bool(((indices >= 0) & (indices < sampler.num_prompts)).all()),
        "a drawn index lies outside the pool",
    )
    if unique:
        require(len(np.unique(indices)) == num, "a prompt stands twice in one batch")


def _batch_size(sampler: PromptSampler) -> int:
    return min(_BATCH, sampler.num_prompts)


def _groups(
    indices: NDArray[np.int64], *, batch: int, purpose: Any = "train", verdict: float | None = None
) -> list[GroupOutcome]:
    """Make groups of 4 rollouts, seeded by prompt and batch; `verdict` makes them unanimous."""
    groups = []
    for index in dict.fromkeys(indices.tolist()):
        rng = np.random.default_rng([index, batch])
        verdicts = (
            rng.integers(0, 2, size=4).astype(np.float64)
            if verdict is None
            else np.full(4, verdict)
        )
        tokens = [rng.integers(0, 9, size=rng.integers(1, 12)).astype(np.int32) for _ in range(4)]
        confidence = -rng.exponential(size=4)
        group = GroupOutcome(
            index=index,
            rewards=verdicts,
            verdicts=verdicts,
            token_ids=tokens,
            confidence=confidence,
            answers=[str(token) for token in rng.integers(0, 3, size=4)],
            purpose=purpose,
            batch=batch,
        )
        groups.append(group)
    return groups


def _run(sampler: PromptSampler, *, start: int, num_steps: int) -> list[list[int]]:
    """Run the trainer's loop (due, observe, draw, observe) and return the batches drawn."""
    batches = []
    for batch in range(start, start + num_steps):
        sampler.observe(_groups(sampler.due(batch), batch=batch, purpose="refresh"))
        draw = sampler.draw(_batch_size(sampler))
        batches.append(draw.indices.tolist())
        sampler.observe(_groups(draw.indices, batch=batch))
    return batches


def _check_draws(sampler: PromptSampler, *, unique: bool) -> None:
    for batch in range(12):
        due = sampler.due(batch)
        require(
            isinstance(due, np.ndarray) and due.dtype == np.int64, "due must return an int64 array"
        )
        require(len(np.unique(due)) == len(due), "due names a prompt twice")
        require(
            bool(((due >= 0) & (due < sampler.num_prompts)).all()),
            "due names a prompt outside the pool",
        )
        require(
            not due.size or sampler.num_rollouts_due > 0,
            "prompts are due, but num_rollouts_due is 0",
        )
        sampler.observe(_groups(due, batch=batch, purpose="refresh"))
        num = _batch_size(sampler) - batch % 3
        draw = sampler.draw(max(1, num))
        _check_draw(draw, sampler, max(1, num), unique=unique)
        sampler.observe(_groups(draw.indices, batch=batch))
        _check_reports(sampler)
    _check_draw(sampler.draw(1), sampler, 1, unique=unique)


def _check_reports(sampler: PromptSampler) -> None:
    """Check that metrics are numbers, scores are one per prompt, and asking changes no state."""
    before = str(sampler.state_dict())
    wrong = [key for key, value in sampler.metrics().items() if not isinstance(value, int | float)]
    require(not wrong, f"metrics must be numbers: {wrong}")
    scores = sampler.scores()
    if scores is not None:
        require(
            isinstance(scores, np.ndarray),
            f"scores must be an array or None, got {type(scores).__name__}",
        )
        require(
            scores.shape == (sampler.num_prompts,),
            f"scores of {sampler.num_prompts} prompts have shape {scores.shape}",
        )
    require(str(sampler.state_dict()) == before, "metrics or scores change the sampler's state")


def _check_remap(one: PromptSampler, other: PromptSampler) -> None:
    """Check that what was learnt of a prompt follows its id into a pool of reversed order."""
    _run(one, start=0, num_steps=7)
    scores = one.scores()
    if one.state_dict()["pool"]["fingerprint"] == other.state_dict()["pool"]["fingerprint"]:
        return  # `make` fixes the pool
    other.load_state_dict(one.state_dict(), remap=True)
    mapped = other.scores()
    if scores is None or mapped is None:
        return
    same = np.allclose(mapped, scores[::-1], equal_nan=True)
    require(
        same,
        "with remap=True, what was learnt of a prompt is not found at its new place: _restore must"
        " use origin",
    )


def _check_reproducible(one: PromptSampler, other: PromptSampler) -> None:
    same = _run(one, start=0, num_steps=10) == _run(other, start=0, num_steps=10)
    require(same, "two samplers of one seed and one history draw different batches")


def check_resume(one: Any, other: Any, go_on: Callable[[Any], object], *, what: str) -> None:
    """Check that `other`, having loaded the saved state of `one`, decides as `one` does.

    The state is loaded from a file, then from memory.

    Args:
        one: A sampler or a gate that has a state.
        other: Another one over the same pool.
        go_on: Runs it for some batches, and returns what it decided.
        what: "sampler" or "gate", for the message.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.npz"
        save_state(path, one.state_dict())
        held = one.state_dict()
        expected = go_on(one)
        other.load_state_dict(load_state(path))
    resumed = f"a {what} resumed from a file does not decide as the one that was saved"
    require(go_on(other) == expected, resumed)
    other.load_state_dict(held)
    shared = f"a held state_dict changed while the {what} went on: it shares its arrays"
    require(go_on(other) == expected, shared)


def _check_hard_groups(sampler: PromptSampler, *, unique: bool) -> None:
    everything = np.arange(sampler.num_prompts)
    for batch, verdict in enumerate((float("nan"), 0.0, float("nan"), 1.0)):
        for purpose in ("refresh", "train"):
            sampler.observe(_groups(everything, batch=batch, purpose=purpose, verdict=verdict))
        _check_draw(
            sampler.draw(_batch_size(sampler)), sampler, _batch_size(sampler), unique=unique
        )
    sampler.observe([])
    _check_draw(sampler.draw(sampler.num_prompts), sampler, sampler.num_prompts, unique=unique)


def _check_pool(build: Callable[..., PromptSampler]) -> None:
    state = build().state_dict()
    others = [build(num_prompts=_POOL + 1), build(prefix="other")]
    own = build().state_dict()["pool"]
    for other in others:
        pool = other.state_dict()["pool"]
        if pool["num_prompts"] == own["num_prompts"] and pool["fingerprint"] == own["fingerprint"]:
            continue  # `make` fixes the pool
        try:
            other.load_state_dict(state)
        except StateError:
            continue
        raise AssertionError("state of another pool was loaded without a StateError")


def _check_batch_limit(sampler: PromptSampler) -> None:
    try:
        sampler.draw(sampler.num_prompts + 1)
    except ConfigError:
        return
    raise AssertionError("a batch larger than the pool was drawn without a ConfigError")
