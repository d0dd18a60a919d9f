"""A task sampler for prime-rl around one of vasari's samplers.

prime-rl's curriculum is a closed choice of its own samplers, so this class cannot be named in its
configuration yet: docs/proposals/prime_rl.md says what would have to open. Until then a fork makes
it in `Curriculum.__init__`. It has the methods of `TaskSampler` of prime-rl's commit 559b447.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vasari.core.errors import ConfigError
from vasari.records import GroupOutcome
from vasari.sample import make_sampler


class VarianceAwareTaskSampler:
    """Iterator over tasks that a sampler of vasari chooses from a finite taskset."""

    def __init__(
        self,
        tasks: Sequence[Any],
        *,
        sampler: str = "weighted_passes",
        seed: int = 42,
        tasks_per_draw: int = 16,
        correct_from: float = 0.5,
        **settings: Any,
    ) -> None:
        """Make a sampler over tasks, each with a unique `key`.

        Args:
            tasks: The taskset.
            sampler: One of `vasari.sample.SAMPLER_NAMES` that asks for no refresh.
            seed: Of the sampler.
            tasks_per_draw: Tasks drawn at once, and then given out one by one; those of one update
                fit well. A draw of one would hold no share of anything.
            correct_from: Least reward of a correct rollout.
            **settings: Of the sampler.
        """
        if not isinstance(tasks, Sequence) or not tasks:
            raise ConfigError("a sampler chooses from a finite taskset with at least one task")
        if type(tasks_per_draw) is not int or tasks_per_draw < 1:
            raise ConfigError(
                f"tasks_per_draw must be a whole number from 1, got {tasks_per_draw!r}"
            )
        if type(correct_from) not in (int, float) or not math.isfinite(correct_from):
            raise ConfigError(f"correct_from must be a finite number, got {correct_from!r}")
        self.tasks = tuple(tasks)
        keys = [str(task.key) for task in self.tasks]
        self._place = {key: place for place, key in enumerate(keys)}
        self._sampler = make_sampler(
            sampler, num_prompts=len(self.tasks), seed=seed, prompt_ids=keys, **settings
        )
        if self._sampler.refresh_every:
            raise ConfigError(
                f"{sampler} refreshes its scores by rollouts that do not train, for which prime-rl"
                " has no place; choose weighted_passes, progress, or vas with refresh='online'"
            )
        self._num_tasks = min(tasks_per_draw, len(self.tasks))
        self._correct_from = correct_from
        self._drawn: list[int] = []
        self._batch = -1
        self._num_unknown = 0

    def __iter__(self) -> VarianceAwareTaskSampler:
        """This sampler: it never ends."""
        return self

    def __next__(self) -> Any:
        """Return the next task, and draw others when none is left."""
        if not self._drawn:
            self._batch += 1
            self._sampler.due(self._batch)
            self._drawn = self._sampler.draw(self._num_tasks).indices.tolist()
        return self.tasks[self._drawn.pop(0)]

    def observe(self, group: Sequence[Any]) -> None:
        """Learn from a finished group of episodes, also from one that no gate admits.

        A trace with an error or without a reward is neither correct nor wrong.
        """
        place = self._place.get(str(group[0].task.key)) if group else None
        traces = [trace for episode in group for trace in episode.traces if trace.agent.trainable]
        if place is None or not traces:
            self._num_unknown += 1
            return
        said = [None if trace.has_error else trace.reward for trace in traces]
        rewards = np.array([math.nan if reward is None else float(reward) for reward in said])
        known = ~np.isnan(rewards)
        verdicts = np.where(known, rewards >= self._correct_from, math.nan)
        tokens = [
            [token for node in trace.nodes if node.sampled for token in node.token_ids]
            for trace in traces
        ]
        self._sampler.observe(
            [
                GroupOutcome(
                    index=place,
                    rewards=rewards,
                    verdicts=verdicts,
                    token_ids=tokens,
                    batch=max(self._batch, 0),
                )
            ]
        )

    def state_dict(self) -> dict[str, Any]:
        """Return what prime-rl keeps in `progress.pt`: JSON values and plain arrays."""
        return {
            "sampler": self._sampler.state_dict(),
            "drawn": list(self._drawn),
            "batch": self._batch,
            "unknown": self._num_unknown,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on as the sampler whose state this is; another taskset is refused."""
        self._sampler.load_state_dict(state_dict["sampler"])
        self._drawn = [int(place) for place in state_dict["drawn"]]
        self._batch = int(state_dict["batch"])
        self._num_unknown = int(state_dict["unknown"])

    def metrics(self) -> dict[str, float]:
        """Return the sampler's metrics; prime-rl logs them under `curriculum/ENV/sampler/`."""
        named = {key.removeprefix("sampler/"): v for key, v in self._sampler.metrics().items()}
        return {**named, "groups_without_rollouts": float(self._num_unknown)}
