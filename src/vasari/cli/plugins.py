"""`vasari plugins`: list the names a recipe can use, built in or from installed packages."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table

from vasari.core.plugins import (
    KINDS,
    VARIABLE,
    Kind,
    Offered,
    allowed_plugins,
    is_allowed,
    offered_plugins,
)

WHERE: Mapping[Kind, str] = {
    "sampler": "sampler.name",
    "gate": "grpo.gate",
    "reward": "grpo.rewards",
    "task": "prompts.tasks.families",
    "protocol": "benchmarks.protocols",
    "stage": "stages",
    "family": "model.family",
    "policy": "policy",
}
"""Kind of plugin -> the recipe key under which one is named."""

_TABLES: Mapping[Kind, str] = {
    "sampler": "vasari.sample:SAMPLER_NAMES",
    "gate": "vasari.sample:GATE_NAMES",
    "reward": "vasari.score.rewards:REWARDS",
    "task": "vasari.data.tasks.families:FAMILIES",
    "protocol": "vasari.evaluate.protocols.registry:PROTOCOLS",
    "stage": "vasari.curate.own_stage:STAGES",
    "family": "vasari.model.families:FAMILY_NAMES",
    "policy": "vasari.model.named:POLICIES",
}
"""Kind of plugin -> `module:attribute` of the table with the built-in names."""


def print_plugins() -> None:
    """Print each kind of plugin with its recipe key and names, then the packages that are allowed.

    Two tables on a terminal; elsewhere one line for each name, its columns separated by tabs.
    """
    console = Console(highlight=False, markup=False)
    offers = offered_plugins()
    if console.is_terminal:
        _print_tables(console, offers)
    else:
        _print_lines(offers)
    allowed = ", ".join(allowed_plugins()) or "none"
    # On standard error where another program may read the lines.
    typer.echo(
        f"your own: package.module:attribute, with --plugin PACKAGE or {VARIABLE}=PACKAGE; allowed"
        f" now: {allowed}",
        err=not console.is_terminal,
    )


def our_names(kind: Kind) -> tuple[str, ...]:
    """Return the built-in names of a kind of plugin; empty if a package they need is missing."""
    module, _, table = _TABLES[kind].partition(":")
    try:
        return tuple(getattr(importlib.import_module(module), table))
    except ImportError:
        return ()


def _print_tables(console: Console, offers: Sequence[Offered]) -> None:
    ours = [(kind, WHERE[kind], ", ".join(our_names(kind))) for kind in KINDS]
    _print_table(console, "what a recipe can name", ("kind", "key in a recipe", "ours"), ours)
    if not offers:
        console.print(
            "no installed package offers any (entry points vasari.sampler, vasari.reward, ...)",
            soft_wrap=True,
        )
        return
    headings = ("kind", "name", "write in a recipe", "package", "allowed")
    found = [
        (offer.kind, *map(_printable, (offer.name, offer.value, offer.package)), _allowed(offer))
        for offer in offers
    ]
    _print_table(console, "what installed packages offer", headings, found)


def _print_table(
    console: Console, title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    columns = (Column(heading, overflow="fold") for heading in headings)
    table = Table(*columns, box=SIMPLE_HEAD, padding=(0, 1), title=title, title_justify="left")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _print_lines(offers: Sequence[Offered]) -> None:
    rows = [("kind", "name", "package", "allowed")]
    for kind in KINDS:
        rows += [(kind, name, "vasari", "yes") for name in our_names(kind)]
        rows += [
            (kind, _printable(offer.value), _printable(offer.package), _allowed(offer))
            for offer in offers
            if offer.kind == kind
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
    """Return text with control characters made visible, since they would move the cursor."""
    return text if text.isprintable() else ascii(text)
