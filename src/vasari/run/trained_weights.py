"""Finding the trained weights of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from vasari.core.errors import StateError
from vasari.run.layout import RunDir

COLD_START = "cold_start"
Which = Literal["best", "last"]


def trained_arm(run: RunDir, arm: str | None, *, preferred: str) -> str:
    """Return the name of the GRPO run (arm) that is meant, or `cold_start`.

    Args:
        run: The run.
        arm: As the user names it; None: `preferred` if it was trained, else the only one, else the
            cold start.
        preferred: Name of the recipe's sampler.

    Raises:
        StateError: There is none of that name, or several and none is named.
    """
    arms = sorted(path.parent.name for path in (run.root / "rl").glob("*/last"))
    cold = [COLD_START] if (run.cold_start / "model").is_dir() else []
    if arm is not None:
        if arm not in (*arms, *cold):
            there = ", ".join([*arms, *cold]) or "none"
            raise StateError(f"{run.root}: has no trained weights of {arm!r}; there are: {there}")
        return arm
    if preferred in arms:
        return preferred
    if len(arms) > 1:
        raise StateError(f"{run.root}: has several trained models; name one with --arm: {arms}")
    if not (*arms, *cold):
        raise StateError(
            f"{run.root}: holds no trained weights; a run has them when training has ended"
        )
    return (*arms, *cold)[0]


def weights_folder(run: RunDir, arm: str, which: Which) -> Path:
    """Return the folder of an arm's best or last weights, or of the cold start's.

    Raises:
        StateError: They are not there: training has not ended, or validated nothing.
    """
    folder = run.cold_start / "model" if arm == COLD_START else run.rl(arm) / which
    if not folder.is_dir():
        raise StateError(f"{folder}: is not there; training saves these weights when it ends")
    return folder
