"""Task families (makers of generated problems), by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from vasari.core.errors import ConfigError
from vasari.core.plugins import build, resolve
from vasari.data.tasks.families.angles import ANGLES
from vasari.data.tasks.families.bars import BARS
from vasari.data.tasks.families.chains import CHAINS
from vasari.data.tasks.families.clocks import CLOCKS
from vasari.data.tasks.families.dice import DICE
from vasari.data.tasks.families.gauges import GAUGES
from vasari.data.tasks.families.grids import GRIDS
from vasari.data.tasks.families.lengths import LENGTHS
from vasari.data.tasks.families.lines import LINES
from vasari.data.tasks.families.matrices import MATRICES
from vasari.data.tasks.families.paths import PATHS
from vasari.data.tasks.families.pies import PIES
from vasari.data.tasks.families.shapes import SHAPES
from vasari.data.tasks.families.tables import TABLES
from vasari.data.tasks.problem import Family

FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        BARS,
        CLOCKS,
        DICE,
        SHAPES,
        TABLES,
        ANGLES,
        GAUGES,
        GRIDS,
        LENGTHS,
        LINES,
        MATRICES,
        PATHS,
        PIES,
        CHAINS,
    )
}
"""Every family by the name that a recipe gives it; a user's own is `package.module:attribute`."""

_LEVEL = re.compile(r"[A-Za-z0-9_]+")


def find_family(name: str) -> Family:
    """Return the task family (maker of problems) `name`, one of `FAMILIES` or a user's own.

    Raises:
        ConfigError: There is none, its code was not allowed, or what is there is no family.
    """
    return as_family(resolve(name, FAMILIES, kind="task"), what=f"task {name!r}")


def as_family(found: Any, *, what: str) -> Family:
    """Check that `found` is a task family and return it; if it is a class, return an instance.

    A class is called without arguments.

    Args:
        found: A class, or an object.
        what: What it is, for error messages.

    Raises:
        ConfigError: It lacks a part of `Family`, or its name or levels cannot stand in a prompt's
            id.
    """
    family = build(found, given={}, settings={}, what=what) if isinstance(found, type) else found
    missing = [part for part in ("name", "levels", "sample") if not hasattr(family, part)]
    if missing:
        raise ConfigError(
            f"{what} is a {type(family).__name__} without {', '.join(missing)}, which a family has"
        )
    if not isinstance(family.name, str) or not re.fullmatch(r"[a-z0-9_]+", family.name):
        raise ConfigError(
            f"{what}: its name must be lower-case letters, digits and underscores, got"
            f" {family.name!r}"
        )
    levels = family.levels
    are_names = isinstance(levels, tuple | list) and all(
        isinstance(one, str) and _LEVEL.fullmatch(one) for one in levels
    )
    if not are_names or not levels or len(set(levels)) < len(levels):
        raise ConfigError(
            f"{what}: its levels must be different names of letters, digits and underscores,"
            f" easiest first, got {levels!r}"
        )
    return family  # type: ignore[no-any-return]
