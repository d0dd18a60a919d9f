"""Families of generated problems, by name."""

from __future__ import annotations

from vasari.tasks.families.angles import Angles
from vasari.tasks.families.bars import BarCharts
from vasari.tasks.families.clocks import Clocks
from vasari.tasks.families.dice import ColouredDice
from vasari.tasks.families.gauges import Gauges
from vasari.tasks.families.grids import Grids
from vasari.tasks.families.lengths import Lengths
from vasari.tasks.families.lines import Lines
from vasari.tasks.families.matrices import Matrices
from vasari.tasks.families.paths import Paths
from vasari.tasks.families.pies import Pies
from vasari.tasks.families.shapes import Shapes
from vasari.tasks.families.tables import Tables
from vasari.tasks.problem import Family

FAMILIES: dict[str, Family] = {
    "bars": BarCharts(),
    "clocks": Clocks(),
    "dice": ColouredDice(),
    "shapes": Shapes(),
    "tables": Tables(),
    "angles": Angles(),
    "gauges": Gauges(),
    "grids": Grids(),
    "lengths": Lengths(),
    "lines": Lines(),
    "matrices": Matrices(),
    "paths": Paths(),
    "pies": Pies(),
}
"""Every family; a user's own can be added at run time."""
