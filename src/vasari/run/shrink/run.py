"""`vasari train RECIPE --shrink`: every command of a recipe, in small, killed once and resumed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from vasari.core.errors import StateError
from vasari.core.files import write_bytes
from vasari.core.folders import default_folder
from vasari.core.plugins import allowed_plugins
from vasari.model.path import SHIPPED, require_training, resolve_model
from vasari.run.layout import RunDir
from vasari.run.recipe import Recipe, load_recipe
from vasari.run.shrink.prompts import small_prompts, write_small_prompts
from vasari.run.shrink.settings import settings_differences, shrunk_settings

Tell = Callable[[str], object]

RECIPE = "recipe.yaml"
_POLL_SECONDS = 0.05
_SHOWN = 60


def shrink(recipe_path: Path, out: Path | None, overrides: Sequence[str], *, tell: Tell) -> Path:
    """Run a recipe in small on a CPU, and return the folder of the run.

    The folder `out` gets the small model, the prompts, the shrunk recipe and, in `run`, what its
    commands write. The commands are run as a user runs them, in processes of their own; training is
    killed after its first checkpoint and resumed.

    Args:
        recipe_path: The recipe.
        out: An empty or new folder; None: `runs/NAME_shrunk`.
        overrides: `key.sub=value` settings.
        tell: Called with each line for the user.

    Raises:
        StateError: The folder holds something, a command failed, or training ended before it could
            be killed.
    """
    recipe = load_recipe(recipe_path, overrides)
    require_training()
    folder = out or default_folder(f"{recipe.name}_shrunk")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StateError(f"{folder}: holds something already; remove it, or choose another --out")
    small = _prepare(recipe, recipe_path.parent, folder, tell)
    run = RunDir(folder / "run")
    steps = _Commands(folder, tell)
    if small.sft is not None:
        steps.run("sft")
    if small.grpo is not None:
        steps.kill_after_a_checkpoint(run.rl(small.sampler.name))
        steps.run("train", "--resume")
    steps.run("evaluate")
    tell(f"report: {run.report}")
    return run.root


def _prepare(recipe: Recipe, recipe_folder: Path, out: Path, tell: Tell) -> Recipe:
    """Write the small model, its prompts and its recipe into `out`; tell what differs."""
    prompts, files = {}, {}
    if recipe.prompts.files is not None:
        found = small_prompts(recipe.prompts.files, folder=recipe_folder, seed=recipe.seed)
        prompts, files = dict(found.prompts), write_small_prompts(found, out)
        for split, origin in found.origins.items():
            tell(f"prompts, {split}: {origin}")
    path = recipe.model.path
    if path is not None and path not in SHIPPED:
        from vasari.run.shrink.model import STEPS, make_small_model  # noqa: PLC0415  (torch)

        source = resolve_model(path, recipe_folder)
        copy = make_small_model(recipe.model, source, prompts, out / "model", seed=recipe.seed)
        tell(f"model: {copy.num_parameters:,} parameters; files of {copy.origin}")
        tell(f"model: random weights, taught the form of an answer for {STEPS} steps")
        for place, before, after in copy.changes:
            tell(f"model config, {place}: {_shown(before)} -> {_shown(after)}")
    content = shrunk_settings(
        recipe, model_path="model" if (out / "model").exists() else None, files=files
    )
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    write_bytes(out / RECIPE, text.encode())
    small = load_recipe(out / RECIPE)
    for place, before, after in settings_differences(
        recipe.model_dump(mode="json"), small.model_dump(mode="json")
    ):
        tell(f"{place}: {_shown(before)} -> {_shown(after)}")
    return small


class _Commands:
    """Runs commands of `vasari` on a shrunk recipe, without GPUs."""

    def __init__(self, folder: Path, tell: Tell) -> None:
        self._folder = folder
        self._tell = tell
        plugins = [word for name in allowed_plugins() for word in ("--plugin", name)]
        self._ending = [RECIPE, "--out", "run", *plugins]
        self._environment = os.environ | {
            "CUDA_VISIBLE_DEVICES": "",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }

    def run(self, command: str, *options: str) -> None:
        """Run one command to its end.

        Raises:
            StateError: It failed; with its last line.
        """
        started = time.monotonic()
        process, log = self._start(command, *options)
        code = process.wait()
        if code:
            raise self._failure(command, code, log)
        words = " ".join(("vasari", command, *options))
        self._tell(f"{words}: {time.monotonic() - started:.0f} s")

    def kill_after_a_checkpoint(self, folder: Path) -> None:
        """Start training, and kill it when its first checkpoint is complete.

        Raises:
            StateError: It ended by itself.
        """
        process, log = self._start("train")
        while not list(folder.glob("checkpoint-*/COMPLETE")):
            if process.poll() is not None:
                raise self._failure("train", process.returncode, log)
            time.sleep(_POLL_SECONDS)
        os.killpg(process.pid, signal.SIGKILL)
        if process.wait() != -signal.SIGKILL:
            raise StateError(f"{folder}: training ended before it could be killed")
        (done,) = {path.parent.name for path in folder.glob("checkpoint-*/COMPLETE")}
        self._tell(f"vasari train: killed after {done}")

    def _start(self, command: str, *options: str) -> tuple[subprocess.Popen[bytes], Path]:
        log = self._folder / f"{command}{''.join(options)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603  (our own command)
                [sys.executable, "-m", "vasari", command, *self._ending, *options],
                cwd=self._folder,
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return process, log

    def _failure(self, command: str, code: int, log: Path) -> StateError:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        last = lines[-1].removeprefix("error: ") if lines else "it printed nothing"
        return StateError(f"vasari {command} ended with {code}: {last} (all it said: {log})")


def _shown(value: Any) -> str:
    """A value in one short line."""
    text = str(value)
    if isinstance(value, list) and len(text) > _SHOWN:
        return f"{value[0]!r}, ... ({len(value)})"
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
