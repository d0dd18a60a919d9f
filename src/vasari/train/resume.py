"""What a checkpoint must hold beside the weights: the sampler, the gate, the ledger, the batch count."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vasari.errors import StateError
from vasari.rundir import read_json, write_json
from vasari.sample import TwoStageGate
from vasari.sample.state_file import load_state, save_state

if TYPE_CHECKING:
    from vasari.train.grpo import VarianceAwareTrainer

SAMPLER_FILE = "vasari_sampler.npz"
GATE_FILE = "vasari_gate.npz"
"""Only beside the weights of a run whose gate remembers prompts."""
BOOKS_FILE = "vasari_books.json"


def save_run_state(folder: Path, trainer: VarianceAwareTrainer) -> None:
    """Write the sampler, the gate and the books into a checkpoint."""
    save_state(folder / SAMPLER_FILE, trainer.prompt_sampler.state_dict())
    if isinstance(trainer.gate, TwoStageGate):
        save_state(folder / GATE_FILE, trainer.gate.state_dict())
    write_json(
        folder / BOOKS_FILE,
        {
            "schema": 1,
            "batch": trainer.batch,
            "ledger": trainer.books.ledger.state_dict(),
            "sampler": type(trainer.prompt_sampler).__name__,
        },
    )


def load_run_state(folder: Path, trainer: VarianceAwareTrainer) -> None:
    """Continue sampler, gate and books from a checkpoint.

    Raises:
        StateError: The checkpoint was written by another sampler or gate, over another pool, or without this state.
    """
    books = read_books(folder)
    if books["sampler"] != type(trainer.prompt_sampler).__name__:
        raise StateError(
            f"{folder}: written with the sampler {books['sampler']}, this run uses {type(trainer.prompt_sampler).__name__}; "
            "start a new run folder to change the sampler"
        )
    two_stage = isinstance(trainer.gate, TwoStageGate)
    if (folder / GATE_FILE).exists() != two_stage:
        raise StateError(
            f"{folder}: written {'without' if two_stage else 'with'} the gate two_stage, and this run goes on "
            f"{'with' if two_stage else 'without'} it; start a new run folder to change the gate"
        )
    trainer.prompt_sampler.load_state_dict(load_state(folder / SAMPLER_FILE))
    if isinstance(trainer.gate, TwoStageGate):
        trainer.gate.load_state_dict(load_state(folder / GATE_FILE))
    trainer.books.ledger.load_state_dict(books["ledger"])
    trainer.batch = int(books["batch"])


def read_books(folder: Path) -> dict[str, Any]:
    """The books of a checkpoint.

    Raises:
        StateError: There are none, or they have another schema.
    """
    path = folder / BOOKS_FILE
    if not path.exists() or not (folder / SAMPLER_FILE).exists():
        raise StateError(f"{folder}: no sampler state beside the weights; it was not written by `vasari train`")
    books: dict[str, Any] = read_json(path)
    if books.get("schema") != 1:
        raise StateError(f"{path}: schema {books.get('schema')!r}, expected 1")
    return books
