"""Command-line options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vasari.core.plugins import allow_plugins


def _allow(packages: list[str] | None) -> list[str] | None:
    """Allow recipes to name code of these packages, and return the packages."""
    allow_plugins(packages or [])
    return packages


RecipePath = Annotated[
    Path, typer.Argument(help="A YAML recipe, e.g. recipes/quickstart.yaml.", show_default=False)
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", help="Folder of the run. \\[default: runs/NAME OF THE RECIPE]", show_default=False
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a setting, e.g. --set grpo.steps=50. Repeatable.",
    ),
]
Plugins = Annotated[
    list[str] | None,
    typer.Option(
        "--plugin",
        metavar="PACKAGE",
        help=(
            "Let a recipe name code of this package as PACKAGE.module:attribute, e.g. --plugin"
            " my_package. Repeatable."
        ),
        callback=_allow,
        show_default=False,
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume", help="Continue what an earlier command left unfinished in the same folder."
    ),
]
