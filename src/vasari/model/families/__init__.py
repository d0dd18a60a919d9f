"""Model families: what is peculiar to each, and how to find it in a loaded model."""

from vasari.model.families.base import IMAGE_FIELDS, Family, Layout
from vasari.model.families.modules import vision_modules, without_adapters
from vasari.model.families.table import FAMILIES, family_of

__all__ = [
    "FAMILIES",
    "IMAGE_FIELDS",
    "Family",
    "Layout",
    "family_of",
    "vision_modules",
    "without_adapters",
]
