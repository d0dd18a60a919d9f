"""Rollouts of a model on benchmarks, kept one by one: what is there already is not asked again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from vasari.core.errors import DataError
from vasari.core.progress import Tell, silent
from vasari.core.records import Prompt
from vasari.evaluate.benchmarks.load import Entry, LoadedSet, output_row, question_key
from vasari.evaluate.benchmarks.outputs import OutputFile, OutputKey
from vasari.evaluate.benchmarks.settings import BenchmarkDir, BenchmarkSettings, PassName
from vasari.model.base import Decoding, Policy

if TYPE_CHECKING:  # asking a server needs packages that a model in this process does not
    from vasari.endpoint import Answers, RunReport


@runtime_checkable
class AnswersEach(Protocol):
    """A policy that hands on answers as they come, such as `EndpointPolicy`."""

    def generate_each(
        self,
        prompts: Sequence[Prompt],
        decoding: Decoding,
        *,
        seed: int,
        take: Callable[[Answers], None],
    ) -> RunReport:
        """Give the answers to each prompt to `take`, and return the run in numbers."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPass:
    """One set under one decoding."""

    loaded: LoadedSet
    name: PassName
    decoding: Decoding
    seed: int
    entries: tuple[Entry, ...]
    keys: tuple[str, ...]
    """[entries] `question_key` of each."""

    @property
    def rollouts(self) -> list[OutputKey]:
        """Every rollout of the pass, in order."""
        return [
            (self.loaded.name, entry.prompt.id, number)
            for entry in self.entries
            for number in range(self.decoding.num_rollouts)
        ]

    def missing(self, file: OutputFile) -> list[int]:
        """The places of prompts that lack a rollout."""
        return [place for place in range(len(self.entries)) if self.lacking(place, file)]

    def lacking(self, place: int, file: OutputFile) -> list[int]:
        """The numbers of the rollouts that a prompt lacks."""
        set_name, identity, asked = (
            self.loaded.name,
            self.entries[place].prompt.id,
            self.keys[place],
        )
        found = (
            file.stored.get((set_name, identity, number))
            for number in range(self.decoding.num_rollouts)
        )
        limit = self.decoding.max_tokens
        return [
            number
            for number, row in enumerate(found)
            if row is None or not row.serves(asked, limit)
        ]


@dataclass(slots=True)
class Collected:
    """What collecting came to."""

    failures: list[dict[str, Any]] = field(default_factory=list)
    """A row a rollout without an answer: set, id, pass, rollout, reason, detail."""
    reports: list[RunReport] = field(default_factory=list)
    """Of a server's runs."""

    @property
    def lost(self) -> list[dict[str, Any]]:
        """The failures that asking again does not mend: what was not sent yet is none."""
        return [row for row in self.failures if row["reason"] != "not_sent"]

    @property
    def stopped_by(self) -> str:
        """Why it ended early; empty when it did not."""
        return next((report.stopped_by for report in self.reports if report.stopped_by), "")


def plan_passes(
    sets: Sequence[LoadedSet], settings: BenchmarkSettings, system: str
) -> list[SetPass]:
    """The passes over all sets: with images, then blind over the prompts that have any.

    Args:
        sets: That are evaluated.
        settings: How.
        system: The system prompt that the policy sends.
    """
    plan: list[SetPass] = []
    for name in settings.passes:
        decoding = settings.decoding(name)
        facts = {
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
            "images": decoding.images,
            "seed": settings.seed,
        }
        for loaded in sets:
            # A prompt without images is the same prompt with and without them: it controls nothing.
            entries = tuple(
                entry for entry in loaded.entries if entry.prompt.images or name == "shown"
            )
            if entries:
                keys = tuple(question_key(entry, system=system, facts=facts) for entry in entries)
                plan.append(
                    SetPass(
                        loaded=loaded,
                        name=name,
                        decoding=decoding,
                        seed=settings.seed,
                        entries=entries,
                        keys=keys,
                    )
                )
    return plan


def collect(
    policy: Policy,
    plan: Sequence[SetPass],
    folder: BenchmarkDir,
    *,
    model: str,
    tell: Tell = silent,
) -> Collected:
    """Generate the rollouts that are not on disk yet, and write each as it comes.

    Args:
        policy: Answers prompts; one that has `generate_each` is asked for everything at once,
            others part by part.
        plan: What is wanted.
        folder: Where outputs lie.
        model: Its name, for the rows.
        tell: Told the rollouts done and their total.

    Raises:
        DataError: The policy gave another number of rollouts than it was asked for.
        StateError: The output file holds something else.
        StorageError: The disk refused.
    """
    files = {name: OutputFile(folder.outputs(name)) for name in {item.name for item in plan}}
    total = sum(len(item.rollouts) for item in plan)
    collected, done = Collected(), 0
    for item in plan:
        file = files[item.name]
        places = item.missing(file)
        writer = _Writer(item, file, model, tell, done=done, total=total)
        if places and isinstance(policy, AnswersEach):
            _each(policy, item, places, writer, collected)
        else:
            _in_parts(policy, item, places, writer)
        done += len(item.rollouts)
        tell(done, total, item.loaded.name)
        if collected.stopped_by:
            break
    for name, file in files.items():
        file.put_in_order([key for item in plan if item.name == name for key in item.rollouts])
    return collected


class _Writer:
    """Writes the rollouts of one pass and tells how far it is."""

    def __init__(
        self, item: SetPass, file: OutputFile, model: str, tell: Tell, *, done: int, total: int
    ) -> None:
        self._item, self._file, self._model, self._tell = item, file, model, tell
        self._total = total
        lacking = sum(len(item.lacking(place, file)) for place in range(len(item.entries)))
        self._done = done + len(item.rollouts) - lacking

    def add(self, place: int, found: Sequence[tuple[int, dict[str, Any]]]) -> None:
        """Write those of a prompt's rollouts that it lacks, in one write."""
        item = self._item
        lacking = set(item.lacking(place, self._file))
        entry = item.entries[place]
        common = output_row(entry, item.loaded) | {
            "model": self._model,
            "pass": item.name,
            "asked": item.keys[place],
        }
        limit = {"max_tokens": item.decoding.max_tokens}
        rows = [
            common | limit | {"rollout": number} | facts
            for number, facts in found
            if number in lacking
        ]
        if rows:
            self._file.append(rows)
        self._done += len(rows)
        note = f"{item.loaded.name}, blind" if item.name == "blind" else item.loaded.name
        self._tell(self._done, self._total, note)


def _each(
    policy: AnswersEach, item: SetPass, places: Sequence[int], writer: _Writer, collected: Collected
) -> None:
    def take(answers: Answers) -> None:
        place = places[answers.position]
        writer.add(
            place,
            [
                (
                    response.index,
                    {
                        "response": response.text,
                        **({"reasoning": response.reasoning} if response.reasoning else {}),
                        "finish_reason": response.finish_reason,
                        "truncated": response.truncated,
                        "num_tokens": response.output_tokens,
                    },
                )
                for response in answers.responses
            ],
        )
        collected.failures.extend(
            {
                "set": item.loaded.name,
                "id": item.entries[place].prompt.id,
                "pass": item.name,
                "rollout": failure.index,
                "reason": failure.reason,
                "detail": failure.detail,
            }
            for failure in answers.failures
        )

    asked = [item.entries[place].asked for place in places]
    collected.reports.append(policy.generate_each(asked, item.decoding, seed=item.seed, take=take))


def _in_parts(policy: Policy, item: SetPass, places: Sequence[int], writer: _Writer) -> None:
    """Generate part by part. The parts are those of the whole pass, so that a resumed one draws
    what an unbroken one draws.
    """
    wanted = set(places)
    for part in _parts(len(item.entries), item.decoding):
        if not wanted.intersection(part):
            continue
        seed_text = f"{item.seed} {item.loaded.name} {item.name} {part[0]}"
        seed = int.from_bytes(hashlib.blake2b(seed_text.encode()).digest()[:4]) >> 1
        groups = policy.generate(
            [item.entries[place].asked for place in part], item.decoding, seed=seed
        )
        if [len(group) for group in groups] != [item.decoding.num_rollouts] * len(part):
            raise DataError(
                f"the policy was asked for {item.decoding.num_rollouts} rollouts of {len(part)}"
                f" prompts and gave {sum(map(len, groups))} in {len(groups)} groups"
            )
        for place, group in zip(part, groups, strict=True):
            facts = (
                {
                    "response": rollout.text,
                    "truncated": rollout.truncated,
                    "num_tokens": len(rollout.token_ids),
                }
                for rollout in group
            )
            writer.add(place, list(enumerate(facts)))


def _parts(count: int, decoding: Decoding) -> Iterator[range]:
    size = max(1, decoding.batch_rollouts // decoding.num_rollouts)
    for start in range(0, count, size):
        yield range(start, min(start + size, count))
