"""A stored model output: facts about the prompt, the response, and official results."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from vasari.core.errors import DataError
from vasari.core.records import AnswerKind
from vasari.evaluate.protocols.cell_values import (
    is_blank,
    is_failed,
    is_missing,
    is_number,
    number_text,
)

LABEL_FIELDS = (
    "category", "subject", "skill", "capability", "level", "task", "source", "context", "grade",
    "question_type", "answer_type", "problem_version", "subdomain",
)  # fmt: skip
"""Fields of a row that results are split by, as far as the row has them."""

BENCHMARK_NAMES = {
    "mathvista": "mathvista", "mathvistamini": "mathvista", "mathvistatestmini": "mathvista",
    "mathvision": "mathvision", "mathv": "mathvision", "mathvisionmini": "mathvision",
    "mathvisiontest": "mathvision", "mathvisiontestmini": "mathvision", "logicvista": "logicvista",
    "mmmupro": "mmmu_pro", "geoqa": "geoqa", "gsm8k": "gsm8k", "cmath": "cmath",
    "gaokaomathcloze": "gaokao-mathcloze", "chartqa": "chartqa", "chartqatest": "chartqa",
    "mathverse": "mathverse",
}  # fmt: skip
"""Names of benchmarks in rows and file names, lower case without separators, and our name."""

_MAX_LITERAL_CHARS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredOutput:
    """One model response to one benchmark prompt, with question, reference answer, options, ..."""

    benchmark: str
    """Our name of the benchmark where we know it (`BENCHMARK_NAMES`), else as in the row."""
    id: str
    response: str
    """What the model wrote; empty when it wrote nothing or the call failed."""
    answer: str
    """The reference answer; the first if there are several."""
    answers: tuple[str, ...] = ()
    """All references of a question with several blanks; empty for one."""
    alternatives: tuple[str, ...] = ()
    """References of which any one is right, `answer` among them; empty for one."""
    model: str = ""
    question: str = ""
    choices: tuple[str, ...] | None = None
    unit: str | None = None
    precision: int | None = None
    """Decimals to which MathVista rounds."""
    kind: AnswerKind | None = None
    """How the answer is compared, where a prompt of the user's own says so."""
    question_type: str | None = None
    answer_type: str | None = None
    extraction: str | tuple[str, ...] | None = None
    """The official extraction, where one is stored; some were made by an LLM."""
    official_correct: bool | None = None
    """The verdict of the benchmark's own scorer, where it is stored."""
    truncated: bool = False
    """The token limit ended the response."""
    cluster: str = ""
    """What several prompts share, such as a MathVerse problem; the id where nothing is."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Values of `LABEL_FIELDS`."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """The row's `metadata`, as it is: whatever a scorer of one's own needs to know, such as a
    tolerance."""

    def __post_init__(self) -> None:
        for name in ("benchmark", "id", "response", "answer", "model", "question"):
            if not isinstance(getattr(self, name), str):
                raise DataError(f"{name!r} must be text, got {_shown(getattr(self, name))}")
        for name in ("answers", "alternatives", "choices"):
            value = getattr(self, name)
            if name == "choices" and value is None:
                continue
            if not isinstance(value, tuple) or not all(isinstance(item, str) for item in value):
                raise DataError(f"{name!r} must be a tuple of texts, got {_shown(value)}")


def read_row(row: Mapping[str, Any], *, benchmark: str = "") -> StoredOutput:
    """Convert a JSON row with the fields of `StoredOutput` to a `StoredOutput`.

    `extraction` is called `official_extraction` in the row. A response that a failed call left
    (null, NaN, "nan", "None", "[]", blank; `cell_values.is_failed`) is read as an empty one.

    Args:
        row: One JSON object.
        benchmark: Name for rows that carry none.

    Raises:
        DataError: A needed field is missing or of another type; the message says which.
    """
    if not isinstance(row, Mapping):
        raise DataError(f"a row must be a mapping of fields, got {_shown(row)}")
    answer_type = _text(row, "answer_type") or None
    answers = _answers(row.get("answer"), decimals=answer_type == "float")
    identity = _text(row, "id", needed=True)
    name = benchmark_name(_text(row, "benchmark") or benchmark)
    choices = read_choices(row.get("choices", row.get("options")))
    alternatives = row.get("alternatives")
    metadata = row.get("metadata")
    return StoredOutput(
        benchmark=name,
        id=identity,
        response=_response(row, (*answers, *(choices or ()))),
        answer=answers[0],
        answers=answers if isinstance(row.get("answer"), list) else (),
        alternatives=() if is_missing(alternatives) else _answers(alternatives),
        model=_text(row, "model"),
        question=_text(row, "question"),
        choices=choices,
        unit=_text(row, "unit") or None,
        precision=_whole(row.get("precision")),
        kind=row["kind"] if row.get("kind") in get_args(AnswerKind) else None,
        question_type=_text(row, "question_type") or None,
        answer_type=answer_type,
        extraction=_extraction(row.get("official_extraction")),
        official_correct=(
            row["official_correct"] if isinstance(row.get("official_correct"), bool) else None
        ),
        truncated=row.get("truncated") is True or row.get("finish_reason") == "length",
        cluster=_text(row, "cluster") or _text(row, "problem_index") or identity,
        labels=_labels(row),
        metadata=dict(metadata) if isinstance(metadata, Mapping) else {},
    )


def _labels(row: Mapping[str, Any]) -> dict[str, str]:
    metadata = row.get("metadata")
    facts = {**metadata, **row} if isinstance(metadata, Mapping) else row
    found = {name: facts.get(name) for name in LABEL_FIELDS}
    return {
        name: value if isinstance(value, str) else number_text(value)
        for name, value in found.items()
        if not is_blank(value) and (isinstance(value, str) or is_number(value))
    }


def benchmark_name(name: str) -> str:
    """Return Vasari's name of a benchmark, such as `mmmu_pro`; an unknown name in lower case.

    Raises:
        DataError: The name is empty.
    """
    if not name:
        raise DataError("no 'benchmark': name it with --benchmark")
    plain = "".join(character for character in name.lower() if character.isalnum())
    return BENCHMARK_NAMES.get(plain, name.lower())


def read_choices(value: Any) -> tuple[str, ...] | None:
    """Return the option texts in a list, or in a list written as text; None if there are none.

    Raises:
        DataError: The value is neither.
    """
    if is_blank(value) or (isinstance(value, str) and is_failed(value)):
        return None
    if isinstance(value, str):
        value = read_literal(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(number_text(item) if is_number(item) else str(item) for item in value) or None
    raise DataError(f"'choices' must be a list of texts, got {str(value)[:60]!r}")


def read_literal(text: str) -> Any:
    """Return the value of a Python literal (number, text or list), read without running code.

    Text that is no literal comes back as it is.
    """
    if len(text) > _MAX_LITERAL_CHARS:
        raise DataError(f"a literal is longer than {_MAX_LITERAL_CHARS} characters")
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        return text


def _text(row: Mapping[str, Any], name: str, *, needed: bool = False) -> str:
    value = row.get(name)
    if is_missing(value):
        if needed:
            raise DataError(f"no {name!r}")
        return ""
    if isinstance(value, str):
        return value
    if is_number(value):
        return number_text(value)
    raise DataError(f"{name!r} must be text, got {_shown(value)}")


def _response(row: Mapping[str, Any], references: Sequence[str]) -> str:
    """Return what the model wrote; "" if it wrote nothing or the call failed."""
    if "response" not in row:
        raise DataError("no 'response'")
    value = row["response"]
    if isinstance(value, Mapping):  # A failed call left its error as an object.
        return ""
    if isinstance(value, list | tuple):
        if all(map(is_blank, value)):
            return ""
        raise DataError(
            f"'response' must be text, got a list of {len(value)}: give each response a row of its"
            " own"
        )
    text = _text(row, "response")
    return "" if is_failed(text, references) else text


def _answers(value: Any, *, decimals: bool = False) -> tuple[str, ...]:
    if value is None:
        raise DataError("no 'answer'")
    if is_missing(value):
        raise DataError("no 'answer': it is NaN, which stands for a missing value")
    listed = value if isinstance(value, list | tuple) else [value]
    if not listed or not all(
        isinstance(item, str) or (is_number(item) and not is_missing(item)) for item in listed
    ):
        raise DataError(f"'answer' must be text or a list of texts, got {str(value)[:60]!r}")
    return tuple(
        item if isinstance(item, str) else number_text(item, decimals=decimals) for item in listed
    )


def _shown(value: Any) -> str:
    if is_missing(value):
        return "None" if value is None else "NaN, which stands for a missing value"
    return f"{type(value).__name__} {str(value)[:40]!r}"


def _extraction(value: Any) -> str | tuple[str, ...] | None:
    if isinstance(value, list):
        return tuple(str(item) for item in value)
    if is_missing(value):
        return None
    return number_text(value) if is_number(value) else str(value)


def _whole(value: Any) -> int | None:
    """Return a whole number, also from 1.0 or "1", as the hub and spreadsheets serve it."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return int(number) if abs(number) < 100 else None  # Not a number compares with nothing.
