"""Checkpoints that survive a crash or a full disk: incomplete checkpoints are ignored.

What a run saves opens by itself with transformers' `AutoModelForImageTextToText` and
`AutoProcessor`, wherever its folder is moved.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.integrations import is_deepspeed_zero3_enabled

from vasari.core.errors import StateError, StorageError
from vasari.core.files import is_disk_error, writing_folder
from vasari.model.families import without_adapters
from vasari.model.processor import save_processor
from vasari.train.adapters import WEIGHTS_FILE as ADAPTER_WEIGHTS
from vasari.train.adapters import is_adapted, restore_adapter, write_adapter, write_base

MARKER = "COMPLETE"
"""Name of the file that marks a completely written checkpoint."""

BASE = "vasari_base"
"""Folder beside checkpoints with the base model of the adapter that is trained."""


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
    """Mixin for TRL's trainers: a checkpoint is complete once all files are written, or ignored.

    Weights or gradients that are infinite or no numbers end the training before they are saved.
    """

    saves_whole_models = False
    """Whether checkpoints have the files of the processor's source, and an adapter's base model
    beside it; else what TRL writes."""
    args: Any
    accelerator: Any
    model: Any
    model_wrapped: Any
    processing_class: Any
    state: Any
    is_deepspeed_enabled: bool
    is_fsdp_enabled: bool

    def train(self, resume_from_checkpoint: str | bool | None = None, **rest: Any) -> Any:
        """Train as TRL does.

        Raises:
            StateError: A gradient or a weight is infinite or no number.
        """
        if self.saves_whole_models and not resume_from_checkpoint:
            if self.accelerator.is_main_process:
                shutil.rmtree(Path(self.args.output_dir) / BASE, ignore_errors=True)
            self.accelerator.wait_for_everyone()
        try:
            return super().train(resume_from_checkpoint, **rest)  # type: ignore[misc]
        except (RuntimeError, StateError):
            # No token can be drawn from such weights.
            check_finite(self.model.named_parameters(), where=self.args.output_dir)
            raise

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)  # type: ignore[misc]
        # With float16, a scaler skips such a step and goes on.
        if norm is not None and not math.isfinite(norm) and not self.args.fp16:
            raise StateError(
                f"{self.args.output_dir}: the gradient of step {self.state.global_step + 1} is"
                f" infinite or no number; {_what_is_left(Path(self.args.output_dir))}. Lower the"
                " learning rate, or look at the data of this step"
            )
        return norm

    def whole_weights(self) -> dict[str, Any] | None:
        """Gather weights that are spread over processes in the main one; called in all of them.

        None where each process has the whole model.
        """
        if not self.is_fsdp_enabled and not is_deepspeed_zero3_enabled():
            return None
        weights: dict[str, Any] = self.accelerator.get_state_dict(self.model_wrapped) or {}
        # FSDP gathers a tied weight under each of its names, and a model is saved with the first.
        tied = getattr(without_adapters(self.model), "all_tied_weights_keys", None) or {}
        doubles = {name for name, first in tied.items() if any(n.endswith(first) for n in weights)}
        return {n: w for n, w in weights.items() if not n.endswith(tuple(doubles))}

    def save_whole(self, path: Path) -> None:
        """Save the model as it is now in a folder (`save_model`); called in all processes."""
        weights = self.whole_weights()
        if self.accelerator.is_main_process:
            model = self.accelerator.unwrap_model(self.model)
            save_model(model, self.processing_class, path, weights=weights)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save the weights of a checkpoint; called in all processes."""
        if not self.saves_whole_models:
            super().save_model(output_dir, _internal_call)  # type: ignore[misc]
            return
        weights = self.whole_weights()
        if self.args.should_save:
            model = self.accelerator.unwrap_model(self.model)
            folder = Path(output_dir or self.args.output_dir)
            _write_model(model, self.processing_class, folder, weights=weights)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        if not self.is_deepspeed_enabled:  # its weights are checked where they are gathered
            check_finite(self.model.named_parameters(), where=self.args.output_dir)
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
        if not self._restore(resume_from_checkpoint):
            super()._load_from_checkpoint(resume_from_checkpoint, model)  # type: ignore[misc]

    def _restore(self, checkpoint: str) -> bool:
        """Put a checkpoint's weights into the model; False where DeepSpeed or FSDP has its own."""
        if self.is_deepspeed_enabled or self.is_fsdp_enabled:
            return False
        return restore_weights(self.accelerator.unwrap_model(self.model), checkpoint)


def check_finite(weights: Iterable[tuple[str, Any]], *, where: object) -> None:
    """Raise if a weight is infinite or no number.

    Args:
        weights: By name.
        where: The folder that they were read from, or are to be saved in.

    Raises:
        StateError: One is; names it.
    """
    for name, weight in weights:
        if not torch.isfinite(weight).all():
            # As it is called in the model's files, without an adapter.
            own = name.removeprefix("base_model.model.").replace(".base_layer.", ".")
            raise StateError(f"{where}: the weight {own} is infinite or no number")


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
        if not is_disk_error(error):
            raise
        left = _what_is_left(Path(folder), remove_others=True)  # makes space
        raise StorageError(
            f"{folder}: the disk refused the checkpoint ({error}); {left}. Free some space and"
            " resume."
        ) from error


def _what_is_left(folder: Path, *, remove_others: bool = False) -> str:
    kept = complete_checkpoints(folder, remove_others=remove_others)
    if not kept:
        return "no checkpoint was complete yet"
    return f"the last complete checkpoint is {kept[-1].name}"


def restore_weights(model: Any, checkpoint: str | Path) -> bool:
    """Put the weights of a saved model into `model`, under whatever names the file holds them.

    The Trainer of transformers 5 reads a checkpoint name by name and passes over names that it does
    not know, while `save_pretrained` writes Qwen2.5-VL under its published names, which are not
    those in memory: a resumed run would go on from the weights it began with, and the best model
    would be the last.

    Returns:
        Whether it was done. Checkpoints of DeepSpeed and FSDP, and of models that are not
        transformers', have ways of their own and are left alone.

    Raises:
        StateError: The checkpoint lacks weights of the model.
    """
    path = Path(checkpoint)
    if is_adapted(model):
        if not (path / ADAPTER_WEIGHTS).exists():
            return False
        restore_adapter(model, path)
        return True
    if not isinstance(model, PreTrainedModel) or not list(path.glob("model*.safetensors")):
        return False
    saved, report = type(model).from_pretrained(
        str(path), dtype=model.dtype, output_loading_info=True
    )
    if report["missing_keys"]:
        raise StateError(
            f"{path}: lacks the weights {sorted(report['missing_keys'])[:3]} of the model"
        )
    model.load_state_dict(saved.state_dict())
    return True


def save_model(
    model: Any, processor: Any, path: Path, *, weights: Mapping[str, Any] | None = None
) -> None:
    """Save a model and its processor in a folder; old files stay until all new ones are written.

    Args:
        model: Without the wrapper of a trainer.
        processor: Its processor, or the tokenizer of a text-only model.
        path: The folder.
        weights: Of the whole model, where they were gathered; None: as they are in `model`.

    Raises:
        StateError: A weight is infinite or no number.
        StorageError: The disk is full, over quota, or read-only.
    """
    with guard_saving(path.parent), writing_folder(path) as folder:
        _write_model(model, processor, folder, weights=weights)


def _write_model(
    model: Any, processor: Any, folder: Path, *, weights: Mapping[str, Any] | None
) -> None:
    trained = dict(model.named_parameters()) if weights is None else weights
    buffers = {name for name, _ in model.named_buffers()}  # which may be infinite, as in Gemma 4
    check_finite(((n, w) for n, w in trained.items() if n not in buffers), where=folder)
    if is_adapted(model):
        base = folder.parent / BASE
        if not base.exists():
            with writing_folder(base) as fresh:
                write_base(model, fresh, weights)
        folder.mkdir(parents=True, exist_ok=True)
        for file in base.iterdir():
            _link(file, folder / file.name)
        write_adapter(model, folder, weights)
    else:
        model.save_pretrained(str(folder), state_dict=weights)
    save_processor(processor, folder)


def _link(source: Path, target: Path) -> None:
    """Give a file a second name, which takes no space; a copy where the disk has no such names."""
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)


def _sync(file: Path) -> None:
    handle = os.open(file, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
