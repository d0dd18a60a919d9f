"""Checks of a family, one module a column of the table in docs/models.md."""

from checks.columns import COLUMNS, check_of, why_not
from checks.lab import Lab

__all__ = ["COLUMNS", "Lab", "check_of", "why_not"]
