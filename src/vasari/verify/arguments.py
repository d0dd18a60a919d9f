"""Check the arguments of `verify_answer`: files and models may hand over what is no text."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import get_args

from vasari.core.errors import ConfigError, DataError
from vasari.core.records import AnswerKind


def check_arguments(response: object, answer: object, choices: object, kind: object) -> None:
    """Raise unless response, answer and options are texts, and the kind of comparison is known.

    Args:
        response: A text.
        answer: A text.
        choices: None, or several texts.
        kind: None, or one of `AnswerKind`.

    Raises:
        ConfigError: The kind is unknown.
        DataError: Something is no text, such as the NaN of an empty cell, a number or a list.
    """
    if kind is not None and kind not in get_args(AnswerKind):
        raise ConfigError(f"kind must be one of {get_args(AnswerKind)} or None, got {kind!r}")
    options = () if choices is None else choices
    if isinstance(options, str) or not isinstance(options, (list, tuple, Sequence)):
        raise DataError(f"choices must be several texts or None, got {type(choices).__name__}")
    if all(isinstance(value, str) for value in (response, answer, *options)):
        return
    named = [("response", response), ("answer", answer), *(("option", one) for one in options)]
    for name, value in named:
        if not isinstance(value, str):
            is_nan = isinstance(value, float) and isnan(value)
            raise DataError(
                f"verify_answer compares texts, but the {name} is"
                f" {'NaN' if is_nan else type(value).__name__}: write a number as its text, and a"
                f" missing {name} as an empty one"
            )
