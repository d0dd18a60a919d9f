"""The training loop without a model: what its sampler and its bookkeeping take, in seconds.

A part of `step_time.py`.
"""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from vasari.records import Outcome, PromptIndices, Verdict
from vasari.sample import PoolFeatures, PromptSampler, make_gate, make_sampler
from vasari.score.reward import Reward
from vasari.train.group_file import GroupLog
from vasari.train.groups import ScoredGroup, ScoredRollout
from vasari.train.loop import Loop, LoopOptions
from vasari.train.run_state import RunState

T = TypeVar("T")
VOCABULARY, LETTERS = 5_000, 4
"""Different tokens in rollouts, and characters of the text of one."""


class Clock:
    """Seconds of what was called, by name."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)

    def timed(self, name: str, function: Callable[..., T]) -> Callable[..., T]:
        """Return the function, its time counted under this name."""

        def called(*given: Any, **named: Any) -> T:
            started = time.perf_counter()
            try:
                return function(*given, **named)
            finally:
                self.spent[name] += time.perf_counter() - started

        return called


class Scripted:
    """Engine of the loop whose rollouts are made up: random tokens, right by the prompt's rate."""

    num_processes = 1

    def __init__(self, rollouts: int, tokens: int) -> None:
        self._rng = np.random.default_rng(0)
        self._rollouts, self._tokens = rollouts, tokens
        self._letters = "".join(self._rng.choice(list("etaoin shrdlu"), LETTERS * tokens * 2))

    def on_main(self, decide: Callable[[], T]) -> T:
        """Decide here: there is one process."""
        return decide()

    def roll_out(self, indices: PromptIndices, num_screening: int) -> list[list[ScoredRollout]]:  # noqa: ARG002
        """Return a group of made-up rollouts for each prompt."""
        return [self.group(int(index)) for index in indices]

    def group(self, index: int) -> list[ScoredRollout]:
        """Return made-up rollouts of one prompt; half of their lengths around the mean."""
        rate = (index % 11) / 10
        lengths = self._rng.integers(self._tokens // 2, self._tokens * 3 // 2, self._rollouts)
        made = []
        for length, is_right in zip(lengths, self._rng.random(self._rollouts) < rate, strict=True):
            value = float(is_right)
            start = int(self._rng.integers(len(self._letters) // 4))
            outcome = Outcome.CORRECT if is_right else Outcome.INCORRECT
            made.append(
                ScoredRollout(
                    index=index,
                    text=self._letters[start : start + LETTERS * int(length)],
                    token_ids=self._rng.integers(VOCABULARY, size=int(length), dtype=np.int32),
                    verdict=Verdict(outcome, extraction="42", decided_by="number"),
                    reward=Reward(value, {"accuracy": value, "format": 1.0}),
                )
            )
        return made

    def keep(self, places: Sequence[Sequence[int]]) -> None:
        """Train on nothing."""

    def silence(self, places: Sequence[Sequence[int]]) -> None:
        """Train on nothing."""

    def refresh(self, *_: Any, **__: Any) -> list[list[ScoredRollout]]:
        """Never: the samplers here ask for none."""
        raise AssertionError

    def complete(self, *_: Any) -> list[list[ScoredRollout]]:
        """Never: the gate here does not screen."""
        raise AssertionError


def a_sampler(name: str, num_prompts: int) -> PromptSampler:
    """Return a sampler over a pool of prompts in twenty categories of three difficulties."""
    rng = np.random.default_rng(1)
    features = PoolFeatures(
        categories=rng.integers(20, size=num_prompts),
        category_names=tuple(f"category {number}" for number in range(20)),
        values=rng.standard_normal((num_prompts, 6)),
        difficulty=rng.integers(3, size=num_prompts) / 2,
    )
    settings = {"refresh": "online"} if name == "vas" else {}
    return make_sampler(name, num_prompts=num_prompts, seed=0, features=features, **settings)


def bookkeeping(
    name: str,
    pool: int,
    prompts: int,
    rollouts: int,
    tokens: int,
    *,
    repeats: int,
    purpose: Literal["train", "refresh"] = "train",
) -> dict[str, float]:
    """Return the median seconds of a batch by part: draw, observe, group file, rest.

    Args:
        name: Of the sampler.
        pool: Prompts to draw from.
        prompts: Of a batch.
        rollouts: Of a prompt.
        tokens: Of a rollout, on average.
        repeats: Batches that are measured; one before is not.
        purpose: `refresh` measures what rollouts of a refresh cost in the place of a batch.
    """
    sampler, engine, clock = a_sampler(name, pool), Scripted(rollouts, tokens), Clock()
    engine.roll_out = clock.timed("rollouts", engine.roll_out)  # type: ignore[method-assign]
    sampler.draw = clock.timed("draw", sampler.draw)  # type: ignore[method-assign]
    sampler.observe = clock.timed("observe", sampler.observe)  # type: ignore[method-assign]
    parts: dict[str, list[float]] = {part: [] for part in ("draw", "observe", "group file", "rest")}
    with tempfile.TemporaryDirectory() as folder:
        log = GroupLog(Path(folder), [f"prompt-{number}" for number in range(pool)])
        record = clock.timed("group file", log)
        run = RunState(sampler=sampler, gate=make_gate("all"))
        loop = Loop(run, engine, LoopOptions(record=record))
        for batch in range(repeats + 1):
            clock.spent.clear()
            started = time.perf_counter()
            if purpose == "train":
                loop.next_batch(prompts)
            else:
                given = engine.roll_out(np.arange(prompts), 0)
                about = {"role": "refresh", "purpose": purpose}
                groups = [ScoredGroup(rollouts=own, **about) for own in given]
                record(groups, batch)
                sampler.observe([group.outcome(batch) for group in groups])
            whole = time.perf_counter() - started - clock.spent["rollouts"]
            known = {part: clock.spent[part] for part in ("draw", "observe", "group file")}
            for part, seconds in (known | {"rest": whole - sum(known.values())}).items():
                parts[part].append(seconds)
    return {part: float(np.median(own[1:])) for part, own in parts.items()}
