"""Convert rows of other tools to ours: lmms-eval's samples, VLMEvalKit's rows, cells of tables."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from vasari.core.errors import DataError
from vasari.evaluate.protocols.cell_values import is_blank, is_missing, whole_text
from vasari.evaluate.protocols.stored_output import (
    LABEL_FIELDS,
    benchmark_name,
    read_choices,
    read_literal,
)

_OPTION_COLUMNS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_IDENTITIES = ("pid", "id", "question_id", "qid", "sample_index")
"""Fields that hold a question's id, the first that is there counts."""

_OPTION_LINE = re.compile(r"^[ \t]*\(?([A-Z])[.):][ \t]*(\S.*?)[ \t]*$", re.MULTILINE)
_LETTER = re.compile(r"\(?[A-Z]\)?")
_FROM_METRICS = (
    "choices", "options", "precision", "question_type", "answer_type", "unit", "question",
    "metadata", "answer",
)  # fmt: skip
_NO_EXTRACTION = ("official_extraction", "[]")
_NO_OPTIONS = ("logicvista",)
"""Benchmarks whose options are in the image only."""
_BLANK_REFERENCES = ("logicvista",)
"""Benchmarks with a blank reference among their own, which their official scorer compares with."""


def as_row(row: Mapping[str, Any], *, benchmark: str = "") -> dict[str, Any]:
    """Convert a row of any layout that is read to a row with our fields (`read_row`).

    The layout is told from the fields: `resps` or `filtered_resps` (lmms-eval, lm-eval),
    `prediction` (VLMEvalKit), `extraction` (MathVista's own results), else ours. The reference is
    `answer`, else `target`.

    Args:
        row: One row.
        benchmark: Benchmark of rows that name none.

    Raises:
        DataError: A field is missing or cannot be read; the message names it.
    """
    made = dict(row)
    known = benchmark if is_blank(row.get("benchmark")) else str(row["benchmark"])
    known = benchmark_name(known) if known else ""
    ours = not row.keys() & {"resps", "filtered_resps", "prediction", "extraction"}
    if "resps" in row or "filtered_resps" in row:
        made = _from_lmms_eval(row, known)
    elif "prediction" in row and "response" not in row:
        made = _from_vlmevalkit(row)
    elif "extraction" in row and "official_extraction" not in row:  # MathVista's own results.
        made["official_extraction"] = row["extraction"]
    if {"A", "B"} <= made.keys() or is_blank(made.get("choices")):
        made["choices"] = _choices(made)
    if is_blank(made.get("id")):
        made["id"] = _first_of((*_IDENTITIES, "index", "doc_id"), made)
    if made.keys() & {"answer", "target"}:
        made |= _reference(made, known, blanks=ours)
    if isinstance(made.get("response"), str):
        made["response"] = _as_whole(made["response"], made)
    return made


def from_cells(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the cells of a table with the types that a JSON row has; blank cells become None.

    Truth values, metadata and lists of references were texts; whole numbers that pandas wrote as
    "7.0" in ids and categories are "7" again. Other cells stay as they are: "nan" may be a
    reference, "007" an answer.
    """
    made: dict[str, Any] = {}
    for name, value in row.items():
        cell = None if is_blank(value) else value
        if isinstance(cell, str):
            if name in ("official_correct", "truncated") and cell.lower() in ("true", "false"):
                cell = cell.lower() == "true"
            elif name in ("metadata", "alternatives") or (name, cell) == _NO_EXTRACTION:
                cell = read_literal(cell)
            elif name in ("index", "cluster", "problem_index", *_IDENTITIES, *LABEL_FIELDS):
                cell = whole_text(cell)
        made[name] = cell
    return made


def _reference(row: Mapping[str, Any], benchmark: str, *, blanks: bool) -> dict[str, Any]:
    """Return the fields `answer` and `alternatives` of a row.

    Args:
        row: A row with `answer` or `target`.
        benchmark: Its benchmark, to our name.
        blanks: Whether an `answer` of several texts answers several blanks, as in our rows; else
            any of them is right, as of a `target` always.
    """
    answer = row.get("answer")
    if is_blank(answer) and not is_blank(row.get("target")):
        answer, blanks = row["target"], False
    listed = _texts(answer)
    if is_blank(answer) or listed == []:
        if benchmark in _BLANK_REFERENCES:
            return {"answer": ""}
        raise DataError("no 'answer': it is empty (a blank cell, null or NaN)")
    if listed is None:
        return {"answer": _as_whole(answer, row) if isinstance(answer, str) else answer}
    if blanks:
        return {"answer": listed}
    return {"answer": listed[0], "alternatives": listed}


def _as_whole(answer: str, row: Mapping[str, Any]) -> str:
    """Return the answer "5.0" of a table as "5" where the question asks for a whole number."""
    whole = whole_text(answer)
    if row.get("answer_type") == "integer" or whole == answer:
        return whole
    options = read_choices(row.get("choices")) or ()
    return whole if whole in options and answer not in options else answer


def _texts(value: Any) -> list[Any] | None:
    """Return the entries of a list, or of a list of texts written as text; None for all else.

    lmms-eval writes each target as text, and tables can hold no list. A list of numbers written as
    text is an answer: "[0, 2]".
    """
    if isinstance(value, str) and value.strip().startswith("["):
        literal = read_literal(value.strip())
        if isinstance(literal, list) and literal and all(isinstance(one, str) for one in literal):
            value = literal
    if isinstance(value, list | tuple):
        return [item for item in value if not is_blank(item)]
    return None


def _first(name: str, *sources: Mapping[str, Any]) -> Any:
    """Return the first value of a field that is not blank; None without one."""
    return next((one[name] for one in sources if not is_blank(one.get(name))), None)


def _first_of(names: Sequence[str], *sources: Mapping[str, Any]) -> Any:
    """Return the value of the first of several fields that is not blank anywhere; else None."""
    found = (_first(name, *sources) for name in names)
    return next((value for value in found if value is not None), None)


def _from_lmms_eval(row: Mapping[str, Any], benchmark: str) -> dict[str, Any]:
    """Convert a sample of lmms-eval or lm-eval; the text is in `resps` or `filtered_resps`.

    The question's fields are in `doc`. Newer versions of lmms-eval leave `doc` out: the fields are
    then in the sample itself, in what a metric of it keeps (MathVista's `submission`), or, options,
    in the text of the prompt (`input`).
    """
    document = row.get("doc")
    document = document if isinstance(document, Mapping) else {}
    metrics = [
        value
        for name, value in row.items()
        if name != "doc" and isinstance(value, Mapping) and value.keys() & set(_FROM_METRICS)
    ]
    places = (document, row, *metrics)
    made: dict[str, Any] = {
        **document,
        **{name: found for name in _FROM_METRICS if (found := _first(name, *places)) is not None},
        "response": _generated(row),
        "choices": _choices(*places),
        "id": _first_of((*_IDENTITIES, "doc_id"), *places),
        "answer": _first_of(("answer", "target"), document, row),
    }
    if made["answer"] is None:
        made["answer"] = _first("answer", *metrics)
    if benchmark == "mathvista":
        made["official_extraction"] = _first("extraction", *metrics)
        made["official_correct"] = _first("true_false", *metrics)
    for name in ("model", "benchmark"):
        if name in row:
            made.setdefault(name, row[name])
    prompt = row.get("input")
    if isinstance(prompt, str):
        if made.get("question") is None:
            made["question"] = prompt
        if made["choices"] is None:
            made["choices"] = _options_in_lines(prompt)
    if benchmark == "gsm8k" and isinstance(made["answer"], str) and "####" in made["answer"]:
        # The data set's answer is a solution with its result behind this mark.
        made["answer"] = made["answer"].rpartition("####")[2].strip()
    if not document:
        _check_without_document(made, benchmark)
    return made


def _check_without_document(row: Mapping[str, Any], benchmark: str) -> None:
    """Raise if a sample without `doc` lacks a field that its verdict depends on."""
    missing = []
    answer = row["answer"]
    letter = isinstance(answer, str) and _LETTER.fullmatch(answer.strip()) is not None
    kind = row.get("question_type")
    bare = row["choices"] is None
    untold = bare and kind is None and benchmark == "mathvista"  # an option's text, or a number
    if bare and benchmark not in _NO_OPTIONS and (letter or untold or kind == "multi_choice"):
        missing.append("choices")
    if row.get("precision") is None and (row.get("answer_type") == "float" or untold):
        missing.append("precision")
    if answer is None:
        missing.append("target")
    if missing:
        names = " and no ".join(f"'{name}'" for name in missing)
        raise DataError(
            f"no {names}: the sample has no 'doc', and neither its own fields nor its metrics nor"
            " its prompt hold them"
        )


def _generated(row: Mapping[str, Any]) -> Any:
    """Return the text that a sample's model generated; None where it generated nothing.

    Of several the first, as the harness's own filter `take_first`.

    Raises:
        DataError: There are log-likelihoods of options instead of a text.
    """
    found = _first("resps", row) if not is_blank(row.get("resps")) else row.get("filtered_resps")
    while isinstance(found, list | tuple):
        if not found:
            return None
        if len(found) == 2 and str(found[1]) in ("True", "False") and _is_number(found[0]):
            raise DataError("'resps' holds no text but log-likelihoods of options")
        found = found[0]
    if is_missing(found) or isinstance(found, str):
        return found
    raise DataError(f"'resps' holds no text but {type(found).__name__}")


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _from_vlmevalkit(row: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a row of VLMEvalKit: `index` is the id, `prediction` the response."""
    identity = _first_of(("id", "index"), row)
    return {**row, "id": identity, "choices": _choices(row), "response": row["prediction"]}


def _choices(*places: Mapping[str, Any]) -> Any:
    """Return the options of the first place that has any: a list, or columns A, B, ..."""
    for place in places:
        for name in ("choices", "options"):
            listed = place.get(name)
            if read_choices(listed):
                return listed
        if options := _option_columns(place):
            return options
    return None


def _option_columns(row: Mapping[str, Any]) -> Sequence[Any] | None:
    """Return the options in columns A, B, ...; a blank one between others keeps its place.

    "5.0" is 5, which pandas writes so where another row has no such option.
    """
    cells = [row.get(letter) for letter in _OPTION_COLUMNS]
    while cells and (is_blank(cells[-1]) or cells[-1] == "nan"):
        cells.pop()
    return [
        "" if is_blank(cell) else whole_text(cell) if isinstance(cell, str) else cell
        for cell in cells
    ] or None


def _options_in_lines(prompt: str) -> list[str] | None:
    """Return the options that a prompt lists, one a line: "A. cat" or "(A) cat"; None if none."""
    options: list[str] = []
    for letter, text in _OPTION_LINE.findall(prompt):
        if letter == "A":
            options = [text]
        elif options and letter == _OPTION_COLUMNS[len(options) % 26]:
            options.append(text)
    return options if len(options) > 1 else None
