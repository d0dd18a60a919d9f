"""State saved in a checkpoint next to the weights: sampler, gate, rollout and batch counts."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vasari.core.errors import StateError, VasariError
from vasari.core.files import read_json, write_json
from vasari.core.ledger import Ledger
from vasari.sample import Gate, PromptSampler
from vasari.sample.base import in_batches
from vasari.sample.state_file import load_state, save_state
from vasari.train.drawn import DrawnPrompts

if TYPE_CHECKING:
    from vasari.train.groups import ScoredGroup

logger = logging.getLogger(__name__)

SAMPLER_FILE = "vasari_sampler.npz"
GATE_FILE = "vasari_gate.npz"
RUN_FILE = "vasari_run.json"
"""File with the ledger, the batch count, and the names of the saved sampler and gate."""
_RUN_FILE_OF_0_1_0 = "vasari_books.json"


@dataclass(slots=True, kw_only=True)
class RunState:
    """State of a training run beside its weights: sampler, gate, rollout counts, batch count."""

    sampler: PromptSampler
    """Chooses which prompts are rolled out."""
    gate: Gate
    """Decides which groups train."""
    ledger: Ledger = field(default_factory=Ledger)
    """Counts of rollouts and tokens by purpose."""
    batch: int = 0
    """Number of finished batches."""
    drawn: DrawnPrompts = field(default_factory=DrawnPrompts)
    """Counts of how often each prompt was drawn to train."""

    def charge(self, groups: Iterable[ScoredGroup]) -> None:
        """Count the rollouts and tokens of groups, each by its purpose."""
        for group in groups:
            self.ledger.charge(group.purpose, rollouts=len(group.rollouts), tokens=group.num_tokens)

    def save(self, folder: Path) -> None:
        """Write the states of sampler and gate, rollout and batch counts to a checkpoint folder.

        Raises:
            StateError: A sampler's or a gate's state holds what cannot be saved.
            StorageError: The disk refused.
        """
        sampler, gate = self.sampler.state_dict(), self.gate.state_dict()
        save_state(folder / SAMPLER_FILE, sampler)
        save_state(folder / GATE_FILE, gate)
        names = {"sampler": sampler["sampler"], "gate": gate["gate"]}
        write_json(folder / RUN_FILE, {**self._facts(), **names})

    def load(self, folder: Path) -> None:
        """Restore sampler, gate and counts from a checkpoint; log which settings changed since.

        Raises:
            StateError: It was written with another sampler or gate, over another pool, or without
                this state.
        """
        saved = read_run_file(folder)
        self._restore(
            folder,
            saved,
            sampler=load_state(folder / SAMPLER_FILE),
            gate=_gate_state(folder, saved, ours=self.gate.state_dict()),
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the states of sampler and gate, and the counts, for a trainer's own file.

        JSON values and plain arrays.
        """
        return {
            **self._facts(),
            "sampler": self.sampler.state_dict(),
            "gate": self.gate.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any], *, where: str = "checkpoint") -> None:
        """Restore what `state_dict` returned; log which settings changed since.

        Args:
            state: From `state_dict`.
            where: Where it was saved, for messages.

        Raises:
            StateError: It is of another sampler or gate, of another pool, or damaged.
        """
        try:
            sampler, gate = state["sampler"], state["gate"]
            self._restore(where, state, sampler=sampler, gate=gate)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            if isinstance(error, VasariError):
                raise
            raise StateError(
                f"{where}: the saved state of the run is damaged: {type(error).__name__}: {error}"
            ) from error

    def _restore(
        self, where: Path | str, saved: Mapping[str, Any], *, sampler: Any, gate: Any
    ) -> None:
        for what, found, ours in (
            ("sampler", sampler, self.sampler.state_dict()),
            ("gate", gate, self.gate.state_dict()),
        ):
            if found.get(what) != ours[what]:
                raise StateError(
                    f"{where}: written with the {what} {found.get(what)}, this run uses"
                    f" {ours[what]}; start a new run folder to change the {what}"
                )
        self.sampler.load_state_dict(sampler)
        self.gate.load_state_dict(gate)
        self.ledger.load_state_dict(saved["ledger"])
        self.drawn.load_state_dict(saved.get("drawn", {}))
        self.batch = int(saved["batch"])
        _tell_changes(where, saved.get("settings", {}), self.settings())

    def _facts(self) -> dict[str, Any]:
        """What is JSON in the state."""
        return {
            "schema": 2,
            "batch": self.batch,
            "ledger": self.ledger.state_dict(),
            "drawn": self.drawn.state_dict(),
            "settings": self.settings(),
        }

    def settings(self) -> dict[str, Any]:
        """Return the settings of the sampler and of the gate, as JSON values."""
        found = {"sampler": self.sampler.made_with, "gate": self.gate.made_with}
        known = {
            what: dataclasses.asdict(own)  # type: ignore[arg-type]
            for what, own in found.items()
            if dataclasses.is_dataclass(own)
        }
        return json.loads(json.dumps(known, default=str))  # type: ignore[no-any-return]


def _tell_changes(where: Path | str, then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    for what in then.keys() & now.keys():
        changed = [
            f"{name} was {then[what][name]!r} and is {now[what][name]!r}"
            for name in then[what].keys() & now[what].keys()
            if then[what][name] != now[what][name]
        ]
        if changed:
            logger.warning(
                "%s: the %s goes on with other settings: %s",
                where,
                what,
                ", ".join(sorted(changed)),
            )


def read_run_file(folder: Path) -> dict[str, Any]:
    """Return a checkpoint's batch count (`batch`) and rollout counts (`ledger`).

    Raises:
        StateError: There are none, or they have another schema.
    """
    path = next(
        (folder / name for name in (RUN_FILE, _RUN_FILE_OF_0_1_0) if (folder / name).exists()), None
    )
    if path is None or not (folder / SAMPLER_FILE).exists():
        raise StateError(
            f"{folder}: no sampler state beside the weights; it was not written by vasari"
        )
    saved: dict[str, Any] = read_json(path)
    if saved.get("schema") not in (1, 2):
        raise StateError(f"{path}: schema {saved.get('schema')!r}, expected 2")
    return saved


def _gate_state(folder: Path, saved: dict[str, Any], *, ours: dict[str, Any]) -> dict[str, Any]:
    """Return the saved state of the gate.

    In 0.1.0 only `two_stage` had a file, and it had no header; the others remember nothing.
    """
    if saved["schema"] == 2:
        return load_state(folder / GATE_FILE)
    if (folder / GATE_FILE).exists():
        return {
            "schema": 1,
            "gate": "two_stage",
            "state": in_batches(load_state(folder / GATE_FILE)),
        }
    return ours if ours["gate"] in ("all", "mixed") else {"gate": "all or mixed"}
