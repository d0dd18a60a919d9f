"""Generate the rollouts of an evaluation, and store them on disk batch by batch."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from vasari.core.errors import DataError
from vasari.core.progress import Tell, silent
from vasari.core.records import Prompt
from vasari.data.images import read_image_bytes
from vasari.evaluate.outputs import OutputFile, OutputKey
from vasari.model.base import Decoding, Policy

if TYPE_CHECKING:  # asking a server needs packages that a model in this process does not
    from vasari.endpoint import Answers, RunReport


@runtime_checkable
class AnswersEach(Protocol):
    """Interface of a policy that hands over answers prompt by prompt, such as `EndpointPolicy`."""

    def generate_each(
        self,
        prompts: Sequence[Prompt],
        decoding: Decoding,
        *,
        seed: int,
        take: Callable[[Answers], None],
    ) -> RunReport:
        """Call `take` with each prompt's answers as they arrive; return a report on requests."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A prompt to evaluate: the full prompt for scoring, and the version given to the model."""

    prompt: Prompt
    """The prompt with its reference answer, for scoring."""
    asked: Prompt
    """The prompt as the policy is given it."""
    digest: str
    """`prompt_digest` of the prompt."""
    cluster: str = ""
    """What the prompt shares with other prompts."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Columns of an output line that describe the prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """Rollouts to generate: one set of prompts, answered with one decoding (sampling settings)."""

    set_name: str
    name: str
    """Which decoding: `sampled`, `greedy`, `shown`, `blind`."""
    decoding: Decoding
    seed: int
    rollouts_per_part: int
    """Rollouts that are generated between two writes to disk."""
    entries: tuple[Entry, ...]
    keys: tuple[str, ...]
    """[entries] digest of what determines an entry's rollouts; it may leave the model out."""

    @property
    def described(self) -> dict[str, Any]:
        """Sampling settings that are reported with every accuracy; `batch_rollouts` is left out."""
        # The batch is how rollouts are computed, not what is measured: it may shrink when memory
        # runs out.
        return self.decoding.model_dump(exclude={"batch_rollouts"})

    @property
    def label(self) -> str:
        """Name of the prompt set and of the decoding (such as `blind`), for progress messages."""
        return self.set_name if self.name == "shown" else f"{self.set_name}, {self.name}"

    @property
    def num_rollouts(self) -> int:
        """Number of rollouts to generate: prompts of the set times rollouts per prompt."""
        return len(self.entries) * self.decoding.num_rollouts

    @property
    def rollouts(self) -> list[OutputKey]:
        """Keys (set, prompt id, rollout number) of all rollouts of the prompt set, in order."""
        return [key for entry in self.entries for key in self.rollouts_of(entry)]

    def rollouts_of(self, entry: Entry) -> list[OutputKey]:
        """Return the keys (set, prompt id, rollout number) of one prompt's rollouts, in order."""
        return [
            (self.set_name, entry.prompt.id, number) for number in range(self.decoding.num_rollouts)
        ]

    def lacking(self, place: int, file: OutputFile) -> list[int]:
        """Return which rollouts (by number) of the prompt at index `place` the file still lacks."""
        stored = [file.stored.get(key) for key in self.rollouts_of(self.entries[place])]
        return [
            number
            for number, found in enumerate(stored)
            if found is None or not found.serves(self.keys[place], self.decoding.max_tokens)
        ]

    def parts(self) -> Iterator[range]:
        """Yield, batch by batch, the index range of the prompts that are answered together."""
        size = max(1, self.rollouts_per_part // self.decoding.num_rollouts)
        for start in range(0, len(self.entries), size):
            yield range(start, min(start + size, len(self.entries)))


@dataclass(slots=True)
class Collected:
    """Record of generating rollouts: failures and server reports (the rollouts are on disk)."""

    failures: list[dict[str, Any]] = field(default_factory=list)
    """A row for each rollout without an answer: set, id, pass, rollout, reason, detail."""
    reports: list[RunReport] = field(default_factory=list)
    """Reports of a server's runs."""

    @property
    def lost(self) -> list[dict[str, Any]]:
        """One row for each rollout that was requested and failed: set, prompt id, reason, ..."""
        return [row for row in self.failures if row["reason"] != "not_sent"]

    @property
    def stopped_by(self) -> str:
        """Reason why generating the rollouts ended early; empty if all were requested."""
        return next((report.stopped_by for report in self.reports if report.stopped_by), "")


def prompt_digest(prompt: Prompt) -> str:
    """Return a hex digest of a prompt's id, question, options, answer, answer kind and image bytes.

    Raises:
        ImageError: An image cannot be read.
    """
    images = [
        hex_digest(read_image_bytes(ref, where=f"prompt {prompt.id!r}")) for ref in prompt.images
    ]
    what = [prompt.id, prompt.question, prompt.answer, prompt.choices, prompt.kind, images]
    return hex_digest(json.dumps(what).encode())


def hex_digest(content: bytes) -> str:
    """Return the 128-bit BLAKE2b digest of `content` in hex."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def draw_prompts(prompts: Sequence[Prompt], limit: int | None, seed: int) -> list[Prompt]:
    """Return `limit` prompts drawn at random, in their original order; all if `limit` is None."""
    if limit is None or limit >= len(prompts):
        return list(prompts)
    # Drawn, because files are sorted by subject: their first prompts are no picture of the set.
    rng = np.random.default_rng(seed)
    return [prompts[i] for i in sorted(rng.choice(len(prompts), limit, replace=False))]


def plan_passes(
    sets: Mapping[str, Sequence[Entry]],
    decodings: Mapping[str, Decoding],
    *,
    seed: int,
    rollouts_per_part: int,
    keys: Callable[[str, str, Decoding, Sequence[Entry]], Sequence[str]],
) -> list[Pass]:
    """Plan a `Pass` for each decoding and prompt set; `blind` (no images) skips text-only prompts.

    Args:
        sets: Prompts by the name of their set.
        decodings: By the name of the pass.
        seed: Random seed of the rollouts.
        rollouts_per_part: As in `Pass`.
        keys: `Pass.keys` of a set's name, a pass's name, its decoding and its entries.
    """
    plan = []
    for name, decoding in decodings.items():
        for set_name, everything in sets.items():
            # A prompt without images is the same prompt with and without them: it controls nothing.
            entries = [entry for entry in everything if entry.prompt.images or name != "blind"]
            if entries:
                plan.append(
                    Pass(
                        set_name=set_name,
                        name=name,
                        decoding=decoding,
                        seed=seed,
                        rollouts_per_part=rollouts_per_part,
                        entries=tuple(entries),
                        keys=tuple(keys(set_name, name, decoding, entries)),
                    )
                )
    return plan


def collect(
    policy: Policy,
    plan: Sequence[Pass],
    file_of: Callable[[Pass], Path],
    *,
    model: str,
    timed: bool = False,
    tell: Tell = silent,
) -> Collected:
    """Generate the planned rollouts that are not on disk yet, and write each batch to disk.

    Args:
        policy: Answers prompts; one that has `generate_each` is asked for everything at once,
            others batch by batch.
        plan: The passes that are wanted.
        file_of: Returns the output file of a pass.
        model: Name of the model, for the rows.
        timed: Write each rollout's share of its batch's time to the row, in `seconds`.
        tell: Called with the rollouts done and their total.

    Raises:
        DataError: The policy gave another number of rollouts than it was asked for.
        StateError: The output file holds something else.
        StorageError: The disk refused.
    """
    files = {path: OutputFile(path) for path in dict.fromkeys(map(file_of, plan))}
    total = sum(item.num_rollouts for item in plan)
    collected, done = Collected(), 0
    for item in plan:
        writer = _Writer(item, files[file_of(item)], model, tell, done=done, total=total)
        places = [place for place in range(len(item.entries)) if writer.lacking(place)]
        if places and isinstance(policy, AnswersEach):
            _each(policy, places, writer, collected)
        else:
            _in_parts(policy, places, writer, timed=timed)
        done += item.num_rollouts
        tell(done, total, item.label)
        if collected.stopped_by:
            break
    for path, file in files.items():
        file.put_in_order([key for item in plan if file_of(item) == path for key in item.rollouts])
    return collected


class _Writer:
    """Writes the rollouts of one pass and reports how many are done."""

    def __init__(
        self, item: Pass, file: OutputFile, model: str, tell: Tell, *, done: int, total: int
    ) -> None:
        self.item, self._file, self._model = item, file, model
        self._tell, self._total = tell, total
        missing = sum(len(self.lacking(place)) for place in range(len(item.entries)))
        self._done = done + item.num_rollouts - missing

    def lacking(self, place: int) -> list[int]:
        """Return which rollouts (by number) the prompt at index `place` still lacks on disk."""
        return self.item.lacking(place, self._file)

    def tell(self, ahead: int = 0, note: str = "") -> None:
        """Report progress: the rollouts written, plus `ahead` generated but not yet written."""
        self._tell(self._done + ahead, self._total, note or self.item.label)

    def add(self, place: int, found: Sequence[tuple[int, dict[str, Any]]]) -> None:
        """Write, at once, the rollouts in `found` that the prompt at index `place` still lacks."""
        item, entry = self.item, self.item.entries[place]
        lacking = set(self.lacking(place))
        common = {"id": entry.prompt.id, "set": item.set_name, **entry.facts, "model": self._model}
        common |= {"pass": item.name, "asked": item.keys[place]}
        common |= {"max_tokens": item.decoding.max_tokens}
        rows = [
            common | {"rollout": number} | facts for number, facts in found if number in lacking
        ]
        if rows:
            self._file.append(rows)
        self._done += len(rows)


def _each(
    policy: AnswersEach, places: Sequence[int], writer: _Writer, collected: Collected
) -> None:
    item = writer.item

    def take(answers: Answers) -> None:
        place = places[answers.position]
        found = [
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
        ]
        writer.add(place, found)
        writer.tell()
        where = {"set": item.set_name, "id": item.entries[place].prompt.id, "pass": item.name}
        collected.failures.extend(
            where | {"rollout": failure.index, "reason": failure.reason, "detail": failure.detail}
            for failure in answers.failures
        )

    asked = [item.entries[place].asked for place in places]
    collected.reports.append(policy.generate_each(asked, item.decoding, seed=item.seed, take=take))


def _in_parts(policy: Policy, places: Sequence[int], writer: _Writer, *, timed: bool) -> None:
    """Generate every batch of prompts that lacks a rollout.

    The batches are those of the whole pass, so that a resumed one draws what an unbroken one draws.
    """
    item, wanted = writer.item, set(places)
    for part in item.parts():
        if wanted.isdisjoint(part):
            continue
        started = time.monotonic()
        groups = _generate(policy, part, writer)
        seconds = (time.monotonic() - started) / (len(part) * item.decoding.num_rollouts)
        for place, group in zip(part, groups, strict=True):
            found = [
                {
                    "response": rollout.text,
                    "truncated": rollout.truncated,
                    "num_tokens": len(rollout.token_ids),
                }
                | ({"seconds": seconds} if timed else {})
                for rollout in group
            ]
            writer.add(place, list(enumerate(found)))
        writer.tell()


def _generate(policy: Policy, part: range, writer: _Writer) -> list[list[Any]]:
    item = writer.item
    missing = sum(len(writer.lacking(place)) for place in part)
    # One seed a part, so that a resumed evaluation draws what an unbroken one would have drawn.
    seed_text = f"{item.seed} {item.set_name} {item.name} {part[0]}"
    seed = int.from_bytes(hashlib.blake2b(seed_text.encode()).digest()[:4]) >> 1
    groups = policy.generate(
        [item.entries[place].asked for place in part],
        item.decoding,
        seed=seed,
        # In rollouts of the whole, whatever unit the policy counts in.
        tell=lambda done, total, note="": writer.tell(missing * done // max(1, total), note),
    )
    if [len(group) for group in groups] != [item.decoding.num_rollouts] * len(part):
        raise DataError(
            f"the policy was asked for {item.decoding.num_rollouts} rollouts of {len(part)}"
            f" prompts and gave {sum(map(len, groups))} in {len(groups)} groups"
        )
    return groups
