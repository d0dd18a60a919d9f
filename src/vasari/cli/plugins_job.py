"""What a recipe can name at each door, and what installed packages offer there."""

from __future__ import annotations

from collections.abc import Mapping

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from vasari.plugins import DOORS, VARIABLE, Door, allowed_plugins, offered_plugins
from vasari.policy.named import POLICIES
from vasari.sample import GATE_NAMES, SAMPLER_NAMES
from vasari.score.rewards import REWARDS
from vasari.tasks.families import FAMILIES

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
    """Print, for each door, its key in a recipe, our names, and what packages offer; then which packages are allowed."""
    console = Console(highlight=False, markup=False)
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), title="what a recipe can name", title_justify="left")
    for column in ("door", "key in a recipe", "ours"):
        table.add_column(column, overflow="fold")
    for door in DOORS:
        table.add_row(door, WHERE[door], ", ".join(_ours(door)))
    console.print(table)
    offers = offered_plugins()
    if offers:
        found = Table(box=SIMPLE_HEAD, padding=(0, 1), title="what installed packages offer", title_justify="left")
        for column in ("door", "name", "write in a recipe", "package"):
            found.add_column(column, overflow="fold")
        for offer in offers:
            found.add_row(offer.door, offer.name, offer.value, offer.package)
        console.print(found)
    else:
        console.print("no installed package offers any (entry points vasari.sampler, vasari.reward, ...)")
    allowed = ", ".join(allowed_plugins()) or "none"
    console.print(f"your own: package.module:attribute, with --plugin PACKAGE or {VARIABLE}; allowed now: {allowed}")


def _ours(door: Door) -> tuple[str, ...]:
    from vasari.evaluate.protocols.registry import PROTOCOLS  # noqa: PLC0415  (an extra)

    names: Mapping[Door, tuple[str, ...]] = {
        "sampler": SAMPLER_NAMES,
        "gate": GATE_NAMES,
        "reward": tuple(REWARDS),
        "task": tuple(FAMILIES),
        "protocol": tuple(PROTOCOLS),
        "stage": (),
        "policy": tuple(POLICIES),
    }
    return names[door]
