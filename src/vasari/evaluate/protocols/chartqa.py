"""ChartQA's relaxed accuracy (arXiv:2203.10244, section 5.1).

The code of record is pix2struct's `relaxed_correctness`.

Known bugs that are kept: a year within 5% is right (2015 accepts 2100), "5%" equals 0.05 and not 5,
thousands separators and units make a number a text, and a reference of 0 is compared as text.
"""

from __future__ import annotations

TOLERANCE = 0.05


def is_correct(prediction: str, answer: str, *, tolerance: float = TOLERANCE) -> bool:
    """Whether two numbers agree within a relative tolerance, or two texts are equal ignoring case.

    The tolerance is a share of the reference; a reference of 0 is compared as text.
    """
    found, expected = _number(prediction), _number(answer)
    if found is not None and expected:
        return abs(found - expected) / abs(expected) <= tolerance
    return prediction.lower() == answer.lower()


def _number(text: str) -> float | None:
    try:
        return float(text.rstrip("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None
