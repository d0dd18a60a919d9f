"""Text to verdict: what a response states as its answer, and whether that is the reference."""

from vasari.verify.cascade import infer_kind, verify_answer
from vasari.verify.extract import Extraction, extract_answer

__all__ = ["Extraction", "extract_answer", "infer_kind", "verify_answer"]
