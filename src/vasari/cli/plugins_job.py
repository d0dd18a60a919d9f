"""What a recipe can name at each door: ours, and what installed packages offer there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from vasari.core.plugins import (
    DOORS,
    VARIABLE,
    Door,
    Offered,
    allowed_plugins,
    is_allowed,
    offered_plugins,
)
from vasari.data.tasks.families import FAMILIES
from vasari.model.named import POLICIES
from vasari.sample import GATE_NAMES, SAMPLER_NAMES
from vasari.score.rewards import REWARDS

WHERE: Mapping[Door, str] = {
    "sampler": "sampler.name",
    "gate": "grpo.gate",
    "reward": "grpo.rewards",
    "task": "prompts.tasks.families",
    "protocol": "benchmarks.protocols",
    "stage": "stages",
    "policy": "policy",
}
"""The key of a recipe that names one."""


def print_plugins() -> None:
    """Print, for each door, its key in a recipe, our names, and what packages offer; then which
    packages are allowed.

    Two tables on a terminal; elsewhere one line for each name, its parts separated by tabs.
    """
    console = Console(highlight=False, markup=False)
    offers = offered_plugins()
    if console.is_terminal:
        _print_tables(console, offers)
    else:
        _print_lines(offers)
    allowed = ", ".join(allowed_plugins()) or "none"
    # Apart from the lines, which another program may read.
    typer.echo(
        f"your own: package.module:attribute, with --plugin PACKAGE or {VARIABLE}=PACKAGE; allowed"
        f" now: {allowed}",
        err=not console.is_terminal,
    )


def our_names(door: Door) -> tuple[str, ...]:
    """The names of ours that a recipe can use at this door."""
    names: Mapping[Door, Callable[[], Sequence[str]]] = {
        "sampler": lambda: SAMPLER_NAMES,
        "gate": lambda: GATE_NAMES,
        "reward": lambda: tuple(REWARDS),
        "task": lambda: tuple(FAMILIES),
        "protocol": _protocols,
        "stage": _stages,
        "policy": lambda: tuple(POLICIES),
    }
    return tuple(names[door]())


def _protocols() -> Sequence[str]:
    try:
        from vasari.evaluate.protocols.registry import PROTOCOLS  # noqa: PLC0415
    except ImportError:  # an extra that is not installed; nothing of it can be named then
        return ()
    return tuple(PROTOCOLS)


def _stages() -> Sequence[str]:
    try:
        from vasari.curate.own_stage import STAGES  # noqa: PLC0415
    except ImportError:
        return ()
    return tuple(STAGES)


def _print_tables(console: Console, offers: Sequence[Offered]) -> None:
    table = Table(
        box=SIMPLE_HEAD, padding=(0, 1), title="what a recipe can name", title_justify="left"
    )
    for column in ("door", "key in a recipe", "ours"):
        table.add_column(column, overflow="fold")
    for door in DOORS:
        table.add_row(door, WHERE[door], ", ".join(our_names(door)))
    console.print(table)
    if not offers:
        console.print(
            "no installed package offers any (entry points vasari.sampler, vasari.reward, ...)",
            soft_wrap=True,
        )
        return
    found = Table(
        box=SIMPLE_HEAD, padding=(0, 1), title="what installed packages offer", title_justify="left"
    )
    for column in ("door", "name", "write in a recipe", "package", "allowed"):
        found.add_column(column, overflow="fold")
    for offer in offers:
        words = (_printable(word) for word in (offer.name, offer.value, offer.package))
        found.add_row(offer.door, *words, _allowed(offer))
    console.print(found)


def _print_lines(offers: Sequence[Offered]) -> None:
    rows = [("door", "name", "package", "allowed")]
    for door in DOORS:
        rows += [(door, name, "vasari", "yes") for name in our_names(door)]
        rows += [
            (door, _printable(offer.value), _printable(offer.package), _allowed(offer))
            for offer in offers
            if offer.door == door
        ]
    for row in rows:
        typer.echo("\t".join(row))


def _allowed(offer: Offered) -> str:
    if not offer.can_be_named:
        return "no: it offers no package.module:attribute"
    if is_allowed(offer.value):
        return "yes"
    return f"with --plugin {offer.value.partition(':')[0].partition('.')[0]}"


def _printable(text: str) -> str:
    """A package's words, its control characters made visible: they would move the cursor of a
    terminal.
    """
    return text if text.isprintable() else ascii(text)
