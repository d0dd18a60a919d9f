"""`vasari recipe`: the recipes that ship with the package, to be copied and changed."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from vasari.core.errors import ConfigError, StateError
from vasari.core.files import write_bytes


def recipe(
    name: Annotated[
        str | None, typer.Argument(help="A shipped recipe, e.g. curated.", show_default=False)
    ] = None,
) -> None:
    """Write a shipped recipe into the working folder, to change it; without a name list them.

    Example: vasari recipe curated
    """
    folder = resources.files("vasari") / "assets" / "recipes"
    shipped = {
        entry.name.removesuffix(".yaml"): entry
        for entry in folder.iterdir()
        if entry.name.endswith(".yaml")
    }
    if name is None:
        for key in sorted(shipped):
            first = shipped[key].read_text(encoding="utf-8").partition("\n")[0]
            typer.echo(f"{key}: {first.removeprefix('# ')}")
        return
    key = name.removesuffix(".yaml")
    if key not in shipped:
        raise ConfigError(
            f"there is no shipped recipe {name!r}; there are {', '.join(sorted(shipped))}"
        )
    path = Path(f"{key}.yaml")
    content = shipped[key].read_bytes()
    if path.exists() and path.read_bytes() != content:
        raise StateError(f"{path}: there is another file of this name; move it away first")
    write_bytes(path, content)
    typer.echo(f"{path}: change it as you like; paths in it are relative to it")
