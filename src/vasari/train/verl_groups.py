"""A batch of verl's groups: what was submitted, what came back, what trained.

verl keeps rollouts in its transfer queue and evicts groups from it; `vasari.verl` hands over each
finished group before that. This file needs neither.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vasari.core.errors import ConfigError, DataError
from vasari.core.records import Draw, Outcome, Verdict
from vasari.score.reward import Reward
from vasari.train.group_file import GroupLog
from vasari.train.groups import ScoredGroup, ScoredRollout
from vasari.train.loop import Record, batch_metrics
from vasari.train.run_state import RunState
from vasari.train.verdicts import Doubt, verdict_by_reward

ReadGroups = Callable[[Collection[str]], Mapping[str, Sequence["VerlRollout"]]]
"""Function from the names of submitted prompts to the rollouts that came back of each."""

_VERDICTS = tuple(outcome.value for outcome in Outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerlRollout:
    """One rollout as verl's transfer queue holds it."""

    token_ids: Sequence[int]
    """Generated tokens, without those of tools."""
    score: float
    """Reward before any penalty."""
    facts: Mapping[str, Any]
    """What the reward function returned beside the score (`reward_extra_info`)."""
    log_probs: Sequence[float] = ()
    """Log-probability of each generated token, where the engine gives them."""
    text: str = ""
    truncated: bool = False
    session: int = 0
    """Which of its group's rollouts it is, as verl counts them."""


def scored(rollout: VerlRollout, *, index: int, verdict_from: str = "") -> ScoredRollout:
    """Return a rollout of the prompt `index` with its verdict; an unverifiable one has reward nan.

    Raises:
        DataError: The reward function did not return the field `verdict_from`.
    """
    verdict = verdict_on(rollout, verdict_from)
    total = math.nan if verdict.outcome is Outcome.UNVERIFIABLE else rollout.score
    return ScoredRollout(
        index=index,
        text=rollout.text,
        token_ids=np.array(rollout.token_ids, dtype=np.int32),
        confidence=min(rollout.log_probs, default=None),
        verdict=verdict,
        reward=Reward(total, {"score": total}),
        truncated=rollout.truncated,
    )


def verdict_on(rollout: VerlRollout, verdict_from: str = "") -> Verdict:
    """Return the verdict that the reward function gave or that follows from its numbers.

    Raises:
        DataError: It did not return the field `verdict_from`, or what says the verdict is neither a
            number nor a verdict.
    """
    name, said = _said(rollout, verdict_from)
    if _is_verdict(said):
        return Verdict(
            Outcome(said),
            extraction=rollout.facts.get("extraction") or None,
            decided_by=str(rollout.facts.get("decided_by", "")),
        )
    return verdict_by_reward(_number(name, said))


def _said(rollout: VerlRollout, verdict_from: str) -> tuple[str, Any]:
    """The name of the field that says the verdict, and what it says."""
    facts = rollout.facts
    if verdict_from and verdict_from not in facts:
        raise DataError(
            f"vasari.verdict_from is {verdict_from!r}, and the reward function returned"
            f" {', '.join(map(repr, facts)) or 'a number only'}"
        )
    name = verdict_from or next((name for name in ("verdict", "acc") if name in facts), "")
    return (name, facts[name]) if name else ("score", rollout.score)


def _is_verdict(said: Any) -> bool:
    """Whether a field says a verdict by its name, as our reward function does."""
    return isinstance(said, str) and said in _VERDICTS


def _number(name: str, said: Any) -> float:
    """What a field says as a number; nan for None."""
    try:
        return math.nan if said is None else float(said)
    except (TypeError, ValueError):
        raise DataError(
            f"the reward function returned {said!r} as {name!r}, which is neither a number nor one"
            f" of {', '.join(_VERDICTS)}; set vasari.verdict_from to a field that is"
        ) from None


@dataclass(frozen=True, slots=True)
class _Submitted:
    place: int
    index: int
    role: str
    score: float


class BatchGroups:
    """Groups of the present batch, from the draw of their prompts to the ledger."""

    def __init__(
        self, run: RunState, read: ReadGroups, *, verdict_from: str, record: Record | None
    ) -> None:
        """Start with no group.

        Args:
            run: Its sampler learns from the groups, its ledger counts them.
            read: Reads what came back.
            verdict_from: As in the settings.
            record: Called with the groups of every batch and its number.
        """
        self._run = run
        self._read = read
        self._verdict_from = verdict_from
        self._record = record
        self._doubt = Doubt(
            "set vasari.verdict_from to a field of the reward function's result that says what is"
            " correct"
        )
        self._submitted: dict[str, _Submitted] = {}
        self._observed: dict[str, ScoredGroup] = {}
        self._sessions: dict[str, list[int]] = {}
        """Of each observed group, which of verl's sessions its rollouts are."""
        self.num_draws = 0
        """How often prompts were drawn for this batch."""

    def submit(self, names: Sequence[str], draw: Draw) -> None:
        """Remember prompts that are being rolled out to train, by the names verl gave them."""
        known = self._run.sampler.scores_of(draw.indices)
        scores = np.full(len(draw), np.nan) if known is None else known
        for name, index, role, score in zip(
            names, draw.indices.tolist(), draw.roles, scores.tolist(), strict=True
        ):
            self._submitted[name] = _Submitted(len(self._submitted), index, role, score)
        self.num_draws += 1

    def place_of(self, name: str) -> int:
        """Return the position of a prompt in the order of the draws."""
        return self._submitted[name].place

    def observe(self, names: Collection[str]) -> None:
        """Show the sampler the groups that it has not seen of these, in the order of the draws."""
        new = [name for name in self._submitted if name in names and name not in self._observed]
        if not new:
            return
        found = self._read(new)
        self._doubt.look_at("the reward function", self._read_as_verdicts(found))
        groups = {}
        for name in new:
            # A group of which nothing came back says nothing of its prompt.
            if own := found.get(name):
                prompt = self._submitted[name]
                groups[name] = self._group(prompt.index, own, prompt.role, prompt.score)
                self._sessions[name] = [rollout.session for rollout in own]
        outcomes = [group.outcome(self._run.batch) for group in groups.values()]
        self._run.drawn.count(outcomes)
        self._run.sampler.observe(outcomes)
        self._observed |= groups

    def observe_refresh(self, indices: Mapping[str, int]) -> list[ScoredGroup]:
        """Charge the rollouts of a refresh and show them to the sampler; return their groups.

        Args:
            indices: For each name the prompt's index, in the order of the prompts.
        """
        found = self._read(list(indices))
        groups = [
            replace(self._group(index, own, "refresh"), purpose="refresh")
            for name, index in indices.items()
            if (own := found.get(name))
        ]
        self._run.charge(groups)
        self._run.sampler.observe([group.outcome(self._run.batch) for group in groups])
        return groups

    def without_baseline(self, keys: Sequence[str]) -> list[str]:
        """Return the keys of rollouts that have no advantage, since their reward is not known.

        Those are the unverifiable ones, and a verifiable one that has no other beside it: verl
        would take its reward itself for its advantage.

        Args:
            keys: `{name}_{session}_{output}` of the rollouts of the batch.
        """
        out: set[tuple[str, int]] = set()
        for name, group in self._observed.items():
            sessions = self._sessions[name]
            known = [not math.isnan(rollout.reward.total) for rollout in group.rollouts]
            if not all(known):
                keeps = sum(known) > 1
                out |= {
                    (name, s)
                    for s, is_known in zip(sessions, known, strict=True)
                    if not (is_known and keeps)
                }
        split = {key: key.rsplit("_", 2) for key in keys}
        return [key for key, (name, session, _) in split.items() if (name, int(session)) in out]

    def finish(self, trained: Collection[str]) -> dict[str, float]:
        """Charge all groups of the batch, begin the next one, and return the metrics.

        Args:
            trained: Names of the prompts whose groups train; the others were evicted or left over.
        """
        groups = [
            group if name in trained else replace(group, purpose="discarded")
            for name, group in self._observed.items()
        ]
        self._run.charge(groups)
        self.record(groups)
        metrics: Mapping[str, float] = (
            batch_metrics(self._run, groups, num_generations=self.num_draws)
            if groups
            else self._run.ledger.metrics()
        )
        self._run.batch += 1
        self._submitted, self._observed, self._sessions, self.num_draws = {}, {}, {}, 0
        return {name if "/" in name else f"vasari/{name}": one for name, one in metrics.items()}

    def record(self, groups: Sequence[ScoredGroup]) -> None:
        """Store groups of the present batch, where they are stored."""
        if self._record is not None and groups:
            self._record(groups, self._run.batch)

    def _group(
        self, index: int, rollouts: Sequence[VerlRollout], role: str, score: float = math.nan
    ) -> ScoredGroup:
        own = [
            scored(rollout, index=index, verdict_from=self._verdict_from) for rollout in rollouts
        ]
        return ScoredGroup(rollouts=own, role=role, score=score)

    def _read_as_verdicts(self, found: Mapping[str, Sequence[VerlRollout]]) -> NDArray[np.float64]:
        """The numbers from which verdicts follow."""
        rollouts = (rollout for own in found.values() for rollout in own)
        all_said = (_said(rollout, self._verdict_from) for rollout in rollouts)
        return np.array([_number(*one) for one in all_said if not _is_verdict(one[1])], float)


def group_log(folder: str, prompt_ids: Sequence[str]) -> Record | None:
    """Return what writes groups into a folder, one Parquet file a batch; None for no folder."""
    if not folder:
        return None
    return GroupLog(Path(folder), prompt_ids)


def check_group_folder(folder: str) -> None:
    """Raise ConfigError where a training that begins would mix its groups with those of another."""
    if folder and any(Path(folder).glob("*.parquet")):
        raise ConfigError(
            f"vasari.groups: {folder} holds the groups of another training, or of one that left no"
            " checkpoint in trainer.default_local_dir; name another folder, or remove it"
        )
