"""Values as result files hold them: what is missing, what failed, and numbers as text."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from math import isnan
from numbers import Integral, Real
from typing import Any

# How pandas and others spell a value that is not there (pandas' `STR_NA_VALUES`), an empty list,
# and, folded to lower case, what `str()` makes of a missing value.
_MISSING_TEXTS = frozenset(
    (
        "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
        "<NA>", "N/A", "NA", "NaT", "n/a", "[]", "[[]]", "['']", '[""]', "{}",
    )
)  # fmt: skip
_MISSING_WORDS = frozenset(("nan", "none", "null", "<na>"))
_FAILED = "Failed to obtain answer"
"""How VLMEvalKit's prediction begins where no model answered."""


def is_missing(value: Any) -> bool:
    """Whether a value is None or a NaN of Python, NumPy or pandas; the text "nan" is a text."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return is_number(value) and not isinstance(value, Integral) and isnan(value)


def is_number(value: Any) -> bool:
    """Whether a value is an int, float, bool or decimal, of Python, NumPy or pyarrow."""
    return isinstance(value, Real | Decimal)


def is_blank(value: Any) -> bool:
    """Whether a value is missing, an empty list, or a text of nothing but spaces."""
    if isinstance(value, str):
        return not value.strip()
    return is_missing(value) or (isinstance(value, list | tuple) and not value)


def is_failed(response: str, references: Sequence[str] = ()) -> bool:
    """Whether a response is what a failed call leaves: nothing, or a word for nothing.

    Such words are "nan", "None", "null", "N/A", "[]" and the others that pandas reads as missing,
    and VLMEvalKit's "Failed to obtain answer". A word that is a reference or an option (`None`) is
    a response.

    Args:
        response: What the file has.
        references: Reference answers and option texts.
    """
    text = response.strip()
    if not text or text.startswith(_FAILED):
        return True
    if text not in _MISSING_TEXTS and text.lower() not in _MISSING_WORDS:
        return False
    return all(text.lower() != reference.strip().lower() for reference in references)


def number_text(value: Any, *, decimals: bool = False) -> str:
    """Return a number as text, a whole one without decimals: 5.0 is "5"; True is "True".

    pandas makes 5.0 of 5 where another cell of the column is missing; a spreadsheet does the
    reverse.

    Args:
        value: An int, float or bool, of Python or NumPy.
        decimals: Whether a whole number keeps a decimal, as "5.0", whichever the file has.
    """
    if isinstance(value, bool) or type(value).__name__ == "bool":
        return str(bool(value))
    if isinstance(value, Integral):
        return str(float(value)) if decimals else str(int(value))
    number = float(value)
    if not decimals and number.is_integer() and abs(number) < 2**53:
        return str(int(number))
    return str(number)


def whole_text(text: str) -> str:
    """Return "5" for "5.0", how pandas writes a column of whole numbers where one is missing."""
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    return sign + digits[:-2] if digits.endswith(".0") and digits[:-2].isdecimal() else text
