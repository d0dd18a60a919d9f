"""A stored model output: facts about the prompt, the response, and official results."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from vasari.core.errors import DataError
from vasari.core.records import AnswerKind

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
    """What the model wrote; empty when it wrote nothing."""
    answer: str
    """The reference answer; the first if there are several."""
    answers: tuple[str, ...] = ()
    """All references of a question with several blanks; empty for one."""
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


def read_row(row: Mapping[str, Any], *, benchmark: str = "") -> StoredOutput:
    """Convert a JSON row with the fields of `StoredOutput` to a `StoredOutput`.

    `extraction` is called `official_extraction` in the row.

    Args:
        row: One JSON object.
        benchmark: Name for rows that carry none.

    Raises:
        DataError: A needed field is missing or of another type; the message says which.
    """
    answers = _answers(row.get("answer"))
    metadata = row.get("metadata")
    facts = {**metadata, **row} if isinstance(metadata, Mapping) else row
    labels = {
        name: str(facts[name])
        for name in LABEL_FIELDS
        if isinstance(facts.get(name), str | int) and facts[name] != ""
    }
    identity = _text(row, "id", needed=True)
    return StoredOutput(
        benchmark=benchmark_name(_text(row, "benchmark") or benchmark),
        id=identity,
        response=_text(row, "response"),
        answer=answers[0],
        answers=answers if isinstance(row.get("answer"), list) else (),
        model=_text(row, "model"),
        question=_text(row, "question"),
        choices=read_choices(row.get("choices", row.get("options"))),
        unit=_text(row, "unit") or None,
        precision=_whole(row.get("precision")),
        kind=row["kind"] if row.get("kind") in get_args(AnswerKind) else None,
        question_type=_text(row, "question_type") or None,
        answer_type=_text(row, "answer_type") or None,
        extraction=_extraction(row.get("official_extraction")),
        official_correct=(
            row["official_correct"] if isinstance(row.get("official_correct"), bool) else None
        ),
        truncated=row.get("truncated") is True or row.get("finish_reason") == "length",
        cluster=_text(row, "cluster") or _text(row, "problem_index") or identity,
        labels=labels,
        metadata=dict(metadata) if isinstance(metadata, Mapping) else {},
    )


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
    if value is None or value in ("", []):
        return None
    if isinstance(value, str):
        value = read_literal(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(item if isinstance(item, str) else str(item) for item in value) or None
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
    if value is None:
        if needed or (name == "response" and name not in row):
            raise DataError(f"no {name!r}")
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return str(value)
    if (
        name == "response"
    ):  # A failed call left its error as an object: official scorers read nothing in it.
        return ""
    raise DataError(f"{name!r} must be text, got {type(value).__name__}")


def _answers(value: Any) -> tuple[str, ...]:
    if (
        isinstance(value, list)
        and value
        and all(isinstance(item, str | int | float) for item in value)
    ):
        return tuple(str(item) for item in value)
    if isinstance(value, str | int | float):
        return (str(value),)
    raise DataError(
        "no 'answer'"
        if value is None
        else f"'answer' must be text or a list of texts, got {str(value)[:60]!r}"
    )


def _extraction(value: Any) -> str | tuple[str, ...] | None:
    if isinstance(value, list):
        return tuple(str(item) for item in value)
    return value if value is None or isinstance(value, str) else str(value)


def _whole(value: Any) -> int | None:
    """Return a whole number, also from 1.0 or "1", as the hub and spreadsheets serve it."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return int(number) if abs(number) < 100 else None  # Not a number compares with nothing.
