"""All rules, by the families of references they belong to."""

from __future__ import annotations

from metamorphic import (
    family_chinese,
    family_collections,
    family_equations,
    family_formulas,
    family_fractions,
    family_hedges,
    family_numbers,
    family_options,
    family_quantities,
    family_regions,
    family_tables,
    family_thoughts,
    family_words,
)

RULES = (
    *family_numbers.RULES,
    *family_fractions.RULES,
    *family_quantities.RULES,
    *family_formulas.RULES,
    *family_equations.RULES,
    *family_regions.RULES,
    *family_collections.RULES,
    *family_tables.RULES,
    *family_options.RULES,
    *family_words.RULES,
    *family_chinese.RULES,
    *family_hedges.RULES,
    *family_thoughts.RULES,
)
