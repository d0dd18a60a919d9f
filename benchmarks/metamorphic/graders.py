"""The two verifiers that are measured: ours, and Math-Verify on the same texts."""

from __future__ import annotations

import logging
import warnings

from metamorphic.pairs import Pair
from metamorphic.tally import Graded
from vasari.verify import verify_answer


def grade(pair: Pair) -> Graded:
    """Return our verdict."""
    outcome = verify_answer(pair.response, pair.reference, choices=pair.choices).outcome
    return {"correct": "correct", "incorrect": "incorrect"}.get(  # type: ignore[return-value]
        outcome.value, "unverifiable"
    )


def peer_version() -> str | None:
    """Return the version of Math-Verify; None if it is not installed."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - seldom needed

    try:
        return version("math-verify")
    except PackageNotFoundError:
        return None


def grade_with_peer(pair: Pair) -> Graded:
    """Return Math-Verify's verdict with its defaults; an exception is "unverifiable".

    It is told which letters there are where the reference is one, and is given references and
    answers that are math in LaTeX between dollar signs, as its documentation asks.
    """
    from math_verify import (  # noqa: PLC0415 - an extra
        ExprExtractionConfig,
        LatexExtractionConfig,
        StringExtractionConfig,
        parse,
        verify,
    )

    logging.getLogger("math_verify").setLevel(logging.CRITICAL)
    targets = [LatexExtractionConfig(), ExprExtractionConfig()]
    if pair.choices:
        letters = tuple("ABCDEFGHIJ"[: len(pair.choices)])
        targets = [StringExtractionConfig(strings=letters), *targets]
    math = pair.formula and not pair.choices
    reference = f"${pair.reference}$" if math else pair.reference
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = parse(reference, targets)
            found = parse(pair.response if pair.choices else pair.latex, targets)
            return "correct" if verify(expected, found) else "incorrect"
    except Exception:  # noqa: BLE001 - its failures are counted apart, whatever it raises
        return "unverifiable"
