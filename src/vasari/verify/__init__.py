"""Verdicts: the final answer of a response, and whether it equals the reference answer."""

from vasari.verify.cascade import infer_kind, verify, verify_answer
from vasari.verify.explain import Explanation, explain
from vasari.verify.extract import Extraction, extract_answer

__all__ = [
    "Explanation",
    "Extraction",
    "explain",
    "extract_answer",
    "infer_kind",
    "verify",
    "verify_answer",
]
