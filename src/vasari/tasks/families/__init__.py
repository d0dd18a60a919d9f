"""Families of generated problems, by name."""

from __future__ import annotations

from vasari.tasks.families.bars import BarCharts
from vasari.tasks.families.clocks import Clocks
from vasari.tasks.families.shapes import Shapes
from vasari.tasks.families.tables import Tables
from vasari.tasks.problem import Family

FAMILIES: dict[str, Family] = {
    "bars": BarCharts(),
    "clocks": Clocks(),
    "shapes": Shapes(),
    "tables": Tables(),
}
"""Every family; a user's own can be added at run time."""
