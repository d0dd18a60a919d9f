"""The command `vasari verify`: one answer, or a file of pairs, with every step to the verdict."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vasari.core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from vasari.data.stored_row import StoredRow
    from vasari.verify import Explanation

_WITHOUT_ALGEBRA = (
    "Math-Verify is not installed: a formula that only computer algebra can compare is unverifiable"
    " (pip install 'vasari[evaluate]')"
)


def verify(
    response: Annotated[
        str | None,
        typer.Argument(help="What the model wrote; - reads it from stdin.", show_default=False),
    ] = None,
    answer: Annotated[
        str | None, typer.Option(help="The reference answer.", show_default=False)
    ] = None,
    choices: Annotated[
        list[str] | None,
        typer.Option("--choice", help="An option's text, A first; once each.", show_default=False),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            help="number, expression, set, text or choice. \\[default: from the reference]",
            show_default=False,
        ),
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(
            help="JSON lines or Parquet with `response`, `answer` and, if any, `choices`, `kind`,"
            " `id`.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON line each.")] = False,
) -> None:
    r"""Verify an answer, or a file of them: what was read, how it was compared, verdict and reason.

    Example: vasari verify "So x is \boxed{1/2}." --answer 0.5
    Options: vasari verify "It is B." --answer B --choice red --choice blue
    A file: vasari verify --pairs pairs.jsonl --json > verdicts.jsonl
    """
    from vasari.verify.symbolic import is_installed  # noqa: PLC0415

    if not is_installed():
        typer.secho(_WITHOUT_ALGEBRA, fg="yellow", err=True)
    if pairs is not None:
        if response is not None or answer is not None:
            raise ConfigError("give --pairs FILE, or a response with --answer, not both")
        _verify_file(pairs, as_json=as_json)
        return
    if response is None or answer is None:
        raise ConfigError("give a response and --answer TEXT, or --pairs FILE")
    text = sys.stdin.read() if response == "-" else response
    found = _explained(text, answer, choices, kind)
    typer.echo(json.dumps(_plain(found, {}), ensure_ascii=False) if as_json else _in_words(found))


def _explained(response: str, answer: str, choices: list[str] | None, kind: Any) -> Explanation:
    from vasari.verify import explain  # noqa: PLC0415

    return explain(response, answer, choices, kind)


def _in_words(found: Explanation) -> str:
    verdict = found.verdict
    extracted = "nothing" if found.extracted is None else repr(found.extracted)
    lines = [
        f"read       {extracted}, from {found.source}",
        f"compared   {found.compared!r} with {found.reference!r}, as {found.kind}",
        f"verdict    {verdict.outcome.value}, decided by {verdict.decided_by!r}",
    ]
    if found.compared is None:
        lines[1] = f"reference  {found.reference!r}, as {found.kind}"
    return "\n".join([*lines, *([f"because    {verdict.reason}"] if verdict.reason else [])])


def _plain(found: Explanation, row: dict[str, Any]) -> dict[str, Any]:
    verdict = found.verdict
    return {
        **({"id": row["id"]} if "id" in row else {}),
        "outcome": verdict.outcome.value,
        "decided_by": verdict.decided_by,
        "reason": verdict.reason,
        "extraction": verdict.extraction,
        "source": found.source,
        "kind": found.kind,
        "answer": found.reference,
    }


def _verify_file(path: Path, *, as_json: bool) -> None:
    from vasari.data.rows import read_rows  # noqa: PLC0415

    outcomes: Counter[str] = Counter()
    rules: Counter[str] = Counter()
    for row in read_rows(path):
        found = _of_row(row)
        outcomes[found.verdict.outcome.value] += 1
        rules[found.verdict.decided_by] += 1
        if as_json:
            typer.echo(json.dumps(_plain(found, row.values or {}), ensure_ascii=False))
        elif found.verdict.outcome.value != "correct":
            name = (row.values or {}).get("id", row.where)
            verdict = found.verdict
            typer.echo(
                f"{name}: {verdict.outcome.value} by {verdict.decided_by}: {verdict.extraction!r}"
                f" for {found.reference!r}; {verdict.reason}"
            )
    total = sum(outcomes.values())
    counts = ", ".join(f"{num:,} {name}" for name, num in outcomes.most_common())
    by_rule = ", ".join(f"{name} {num:,}" for name, num in rules.most_common())
    typer.secho(f"{total:,} answers: {counts or 'none'} (by {by_rule or 'nothing'})", err=True)


def _of_row(row: StoredRow) -> Explanation:
    given = row.values
    if given is None:
        raise DataError(f"{row.where}: {row.problem}")
    for name in ("response", "answer"):
        if not isinstance(given.get(name), str):
            raise DataError(
                f"{row.where}: {name!r} must be text, got {given.get(name)!r}; rows of other tools"
                " are read by `vasari rescore`"
            )
    choices = given.get("choices")
    options = None if choices is None else [str(choice) for choice in choices]
    return _explained(given["response"], given["answer"], options or None, given.get("kind"))
