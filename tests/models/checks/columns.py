"""The columns of the table in docs/models.md, and the checks that make their cells green."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

from stand_ins import STAND_INS
from transformers.utils import is_torchvision_available

from checks.lab import Check

_WHERE: Mapping[str, str] = MappingProxyType(
    {
        "load": "load:check",
        "sft": "sft:check",
        "train": "train:check",
        "resume": "resume:check",
        "evaluate": "evaluate:check",
        "save and reload": "reload:check",
        "LoRA": "lora:check",
        "LoRA on LoRA": "lora:check_on_lora",
        "frozen vision": "frozen:check",
        "mixed pool": "mixed:check",
        "two processes": "two_processes:check",
    }
)
COLUMNS = tuple(_WHERE)
"""Names of the columns, in the table's order."""


def check_of(column: str) -> Check:
    """Return a column's check, which is imported only now."""
    module, name = _WHERE[column].split(":")
    found: Check = getattr(import_module(f"checks.{module}"), name)
    return found


def why_not(family: str, column: str) -> str | None:
    """Return why a cell cannot be checked here; None if it can."""
    stand_in = STAND_INS[family]
    if column == "frozen vision" and not stand_in.has_images:
        return "reads text only"
    if stand_in.needs_torchvision and not is_torchvision_available():
        return "needs torchvision"
    return None
