"""Folder of a run: opened for one recipe, which is stored in it, and filled stage by stage."""

from __future__ import annotations

import datetime
import logging
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vasari.core.errors import ConfigError, StateError
from vasari.core.files import read_json, write_json
from vasari.core.folders import default_folder, is_temporary, refuse_foreign
from vasari.core.versions import installed_versions
from vasari.run.layout import RunDir
from vasari.run.recipe import Recipe
from vasari.run.upgrade import upgrade_recipe

logger = logging.getLogger(__name__)

_MAY_CHANGE = {"evaluate", "name"}
"""Parts of a recipe that a later command may change in the same folder."""


def open_run(recipe: Recipe, out: Path | None) -> RunDir:
    """Open or create the folder of a run, and write the recipe's settings into it.

    `settings.json` keeps time, command, versions and machine of the run's first command, and has
    those of its last command under `last`.

    Raises:
        ConfigError: There is no `out`, and the recipe's name is no name of a folder.
        StateError: The folder holds a run of other settings, settings that cannot be read, or files
            of others.
    """
    run = RunDir(out or default_folder(recipe.name))
    refuse_foreign(
        run.root,
        is_ours=is_run,
        command="a training run",
        passes=lambda name: is_temporary(name, "settings.json"),
    )
    resolved = recipe.model_dump(mode="json")
    facts = {"schema": 1, "recipe": resolved, "seed": recipe.seed}
    now = _now()
    if run.settings.exists():
        stored = _stored(run)
        _refuse_other(_of_today(stored["recipe"]), resolved, run.root)
        facts |= {key: stored[key] for key in now if key in stored} | {"last": now}
    else:
        facts |= now
    if int(os.environ.get("RANK", "0")) == 0:
        write_json(run.settings, facts)
    return run


def is_run(root: Path) -> bool:
    """Whether a folder with files is that of a run: its settings are there."""
    return (root / "settings.json").is_file()


def open_existing(root: Path) -> RunDir:
    """Open the folder of an existing run.

    Raises:
        StateError: There is no run.
    """
    run = RunDir(root)
    if not run.settings.exists():
        raise StateError(
            f"{root}: holds no run (no settings.json); give the folder that a `vasari` command"
            " wrote"
        )
    return run


def _stored(run: RunDir) -> dict[str, Any]:
    """What `settings.json` holds, with a recipe that is an object."""
    try:
        stored = read_json(run.settings)
        recipe = stored["recipe"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StateError(
            f"{run.settings}: cannot be read ({type(error).__name__}: {error}); choose another"
            " --out, or put back a copy"
        ) from error
    if not isinstance(recipe, dict):
        raise StateError(
            f"{run.settings}: its recipe is no object; choose another --out, or put back a copy"
        )
    return dict(stored)


def _of_today(old: dict[str, Any]) -> dict[str, Any]:
    """A stored recipe with today's keys and defaults; as it is where it cannot be read.

    The settings check the names in it without importing any code that whoever runs this did not
    allow.
    """
    try:
        return Recipe.model_validate(upgrade_recipe(old, tell=logger.debug)).model_dump(mode="json")
    except (ValidationError, ConfigError):
        return old


def _refuse_other(old: dict[str, Any], new: dict[str, Any], root: Path) -> None:
    differing = [
        (
            f"{key} is {new.get(key)!r}, was {old.get(key)!r}"
            if not isinstance(new.get(key), dict)
            else _first_difference(key, old.get(key), new[key])
        )
        for key in {**old, **new}
        if key not in _MAY_CHANGE and key != "sampler" and old.get(key) != new.get(key)
    ]
    if differing:
        raise StateError(
            f"{root}: holds a run of another recipe ({'; '.join(differing[:3])}); choose another"
            " --out"
        )


def _first_difference(key: str, old: Any, new: Any) -> str:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in new:
            if old.get(name) != new.get(name):
                return _first_difference(f"{key}.{name}", old.get(name), new.get(name))
    return f"{key} is {new!r}, was {old!r}"


def _now() -> dict[str, Any]:
    """Facts on this command: versions, time, words, machine."""
    return {
        "versions": installed_versions(),
        "started": datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds"),
        "command": _command(sys.argv),
        "machine": {"cpus": os.cpu_count(), "system": f"{platform.system()} {platform.machine()}"},
    }


def _command(words: Sequence[str]) -> str:
    """This process's command as it can be given again: `vasari`, or torchrun with its processes."""
    program = Path(words[0])
    name = "vasari" if program.name == "__main__.py" else program.name
    processes, local = (int(os.environ.get(key, "1")) for key in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    if name == "vasari" and processes > 1:
        nodes = ["--nnodes", str(processes // local)] if processes > local else []
        name = shlex.join(["torchrun", *nodes, "--nproc_per_node", str(local), "-m", "vasari"])
    return " ".join([name, shlex.join(words[1:])]).strip()
