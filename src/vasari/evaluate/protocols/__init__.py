"""Scoring protocols by name: each benchmark's own scorer, the paper's rules, and Vasari's."""

from vasari.evaluate.protocols.registry import (
    AS_IN_TRAINING,
    PROTOCOLS,
    ScoringProtocol,
    check_names,
    file_name_of,
    scoring_protocol,
)
from vasari.evaluate.protocols.stored_output import StoredOutput, read_row

__all__ = [
    "AS_IN_TRAINING",
    "PROTOCOLS",
    "ScoringProtocol",
    "StoredOutput",
    "check_names",
    "file_name_of",
    "read_row",
    "scoring_protocol",
]
