"""Make tables of scores for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table


def score_table(title: str, texts: Sequence[str], numbers: Sequence[str]) -> Table:
    """Return an empty table with the given text columns, then the given number columns."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1))
    table.add_column(texts[0], overflow="fold", min_width=10)  # long names are broken
    for heading in texts[1:]:
        table.add_column(heading, no_wrap=True)
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    return table
