"""Checkpoints that survive a crash or a full disk: incomplete checkpoints are ignored."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from vasari.core.errors import StateError, StorageError
from vasari.core.files import writing_folder
from vasari.model.processor import save_processor

MARKER = "COMPLETE"
"""Name of the file that marks a completely written checkpoint."""

_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}


def complete_checkpoints(folder: Path, *, remove_others: bool = True) -> list[Path]:
    """Return a run's complete checkpoints, oldest first; by default, delete incomplete ones."""
    complete = {}
    for path in folder.glob("checkpoint-*"):
        step = path.name.removeprefix("checkpoint-")
        if not step.isdecimal() or not path.is_dir():
            continue
        if (path / MARKER).exists():
            complete[int(step)] = path
        elif remove_others:
            shutil.rmtree(path, ignore_errors=True)  # another process may be removing it
    return [complete[step] for step in sorted(complete)]


class CompleteCheckpoints:
    """Mixin for TRL's trainers that marks a checkpoint as complete once all files are written."""

    args: Any
    accelerator: Any
    model: Any
    state: Any

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        with guard_saving(self.args.output_dir):
            super()._save_checkpoint(model, trial)  # type: ignore[misc]
            # Every process writes its own random state: complete means all of them are there.
            self.accelerator.wait_for_everyone()
            if self.accelerator.is_main_process:
                step = self.state.global_step
                self._save_beside_weights(Path(self.args.output_dir) / f"checkpoint-{step}")
                mark_complete(self.args.output_dir, step)
        self.accelerator.wait_for_everyone()

    def _save_beside_weights(self, folder: Path) -> None:
        """Write the trainer's state other than weights; called in the main process only."""

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)  # type: ignore[misc]
        restore_weights(self.accelerator.unwrap_model(self.model), resume_from_checkpoint)


def mark_complete(folder: str | Path, step: int) -> None:
    """Flush a checkpoint's files to disk, then write the file that marks it as complete."""
    path = Path(folder) / f"checkpoint-{step}"
    if not path.is_dir():  # only the main process writes
        return
    for file in path.rglob("*"):
        if file.is_file():
            _sync(file)
    (path / MARKER).write_text(f"{step}\n")
    _sync(path / MARKER)


@contextlib.contextmanager
def guard_saving(folder: str | Path) -> Iterator[None]:
    """Context manager that turns disk errors into an error naming the last complete checkpoint.

    Raises:
        StorageError: The disk is full, over quota, or read-only.
    """
    try:
        yield
    except Exception as error:  # safetensors has an exception of its own
        if not _is_disk_error(error):
            raise
        kept = complete_checkpoints(Path(folder))
        left = (
            f"the last complete checkpoint is {kept[-1].name}"
            if kept
            else "no checkpoint was complete yet"
        )
        raise StorageError(
            f"{folder}: the disk refused the checkpoint ({error}); {left}. Free some space and"
            " resume."
        ) from error


def _is_disk_error(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
            return True
        # torch and safetensors report a short write in words of their own.
        if re.search(
            r"No space left|os error 28|File too large|os error"
            r" 27|PytorchStreamWriter|unexpected pos",
            str(error),
        ):
            return True
        error = error.__cause__ or error.__context__
    return False


def restore_weights(model: Any, checkpoint: str | Path) -> None:
    """Put the weights of a saved model into `model`, under whatever names the file holds them.

    The Trainer of transformers 5 reads a checkpoint name by name and passes over names that it does
    not know, while `save_pretrained` writes Qwen2.5-VL under its published names, which are not
    those in memory: a resumed run would go on from the weights it began with, and the best model
    would be the last. Sharded and adapter checkpoints of DeepSpeed, FSDP and PEFT have ways of
    their own and are left alone.

    Raises:
        StateError: The checkpoint lacks weights of the model.
    """
    path = Path(checkpoint)
    if not isinstance(model, PreTrainedModel) or not list(path.glob("model*.safetensors")):
        return
    saved, report = type(model).from_pretrained(
        str(path), dtype=model.dtype, output_loading_info=True
    )
    if report["missing_keys"]:
        raise StateError(
            f"{path}: lacks the weights {sorted(report['missing_keys'])[:3]} of the model"
        )
    model.load_state_dict(saved.state_dict())


def save_model(model: Any, processor: Any, path: Path) -> None:
    """Save a model and its processor in a folder; old files stay until all new ones are written.

    Raises:
        StorageError: The disk is full, over quota, or read-only.
    """
    with guard_saving(path.parent), writing_folder(path) as folder:
        model.save_pretrained(str(folder))
        save_processor(processor, folder)


def _sync(file: Path) -> None:
    handle = os.open(file, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
