"""Model families: what is peculiar to each, and how to find it in a loaded model."""

from vasari.model.families.base import IMAGE_FIELDS, Family, Layout
from vasari.model.families.modules import vision_modules, without_adapters
from vasari.model.families.table import (
    FAMILIES,
    FAMILY_NAMES,
    family_of,
    family_of_processor,
    use_family,
)

__all__ = [
    "FAMILIES",
    "FAMILY_NAMES",
    "IMAGE_FIELDS",
    "Family",
    "Layout",
    "family_of",
    "family_of_processor",
    "use_family",
    "vision_modules",
    "without_adapters",
]
