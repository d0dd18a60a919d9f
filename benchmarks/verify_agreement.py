"""How often does `verify_answer` agree with published official verdicts on raw responses?

    python benchmarks/verify_agreement.py --data DIR [--only NAME] [--disagreements FILE]

DIR holds published outputs, `*.jsonl.gz`, one row a line: benchmark, question, choices, answer,
question_type, answer_type, response, official_extraction, official_correct. A row counts where its
official extraction states an answer (`states`): the official scorers also credit refusals (nearest
option, random letter), which is no verdict on an answer. Rows in
`verify_agreement_exceptions.jsonl` were read one by one and found misread by the official rule,
with the reason. They stay in the raw agreement; a second figure leaves them out. A listed row that
does not differ is an error. Prints one table and writes it to `benchmarks/results/`; the
disagreements go to FILE, one JSON line each.
"""

from __future__ import annotations

import argparse
import ast
import gzip
import json
import platform
import re
import sys
import time
from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import vasari
from result_files import MACHINE, RESULTS, result_file
from vasari.records import AnswerKind, Outcome, Verdict
from vasari.verify import verify_answer
from vasari.verify.choices import named_letters
from vasari.verify.numbers import parse_constant
from vasari.verify.options import LETTERS
from vasari.verify.questions import options_in_question

REMARKS = (
    "Agreement counts rows whose official extraction states an answer. The last column but one"
    " counts rows without one",
    "that the official scorer calls correct (nearest option, random letter). Rows that were read"
    " and found misread by the",
    "official rule are in `benchmarks/verify_agreement_exceptions.jsonl`, with their reason.",
    "",
    "Disagreements read one by one on 2026-11-30 (of commit 66dad41; Wilson's 95% intervals):",
    "",
    "| benchmark | read | published right | ours right | debatable |",
    "| --- | --- | --- | --- | --- |",
    "| MathVista, prose: 150 of 346, drawn with seed 18 | 150 | 38 (19 to 33%) | 87 (50 to 66%)"
    " | 25 (12 to 23%) |",
    "| LogicVista, all | 48 | 17 (23 to 50%) | 12 (15 to 39%) | 19 (27 to 54%) |",
    "| Gaokao cloze (Chinese), all | 13 | 0 (0 to 23%) | 11 (58 to 96%) | 2 (4 to 42%) |",
    "| GeoQA (translated from Chinese), all | 27 | 0 (0 to 12%) | 25 (77 to 98%) | 2 (2 to 23%) |",
    "| GSM8K, all | 2 | 0 | 2 | 0 |",
    "| MMMU-Pro, all | 19 | 0 (0 to 17%) | 19 (83 to 100%) | 0 |",
    "",
    "Also read: the 33 other MathVista rows that ours calls correct and the official verdict does"
    " not: ours was right on 24,",
    "wrong on 8, 1 debatable. The rules that paid those 8, and 8 of LogicVista's, were mended; the"
    " tables below are after that.",
    "CMATH is not among the published outputs.",
)
EXCEPTIONS = Path(__file__).with_name("verify_agreement_exceptions.jsonl")

Row = dict[str, Any]
Key = tuple[str, str, str]
"""Benchmark, model and id."""

_LETTER = re.compile(r"\(?([a-z])\)?", re.IGNORECASE)
# The official rule takes the pronoun I and the article A for options, and draws a letter where it
# finds none.
_MMMU_STATED = re.compile(r"(?:^|[\n:(*{]|\b(?i:is|option)\b)[\s\\(*{]*([A-J])(?:[.)*:}\s]|\Z)")


@dataclass
class Tally:
    """Counts of one file of published outputs: rows, agreements, and correct answers."""

    rows: int = 0
    stated: int = 0
    agree: int = 0
    listed: int = 0
    """Of those that differ, rows that the official rule is listed to misread."""
    ours: int = 0
    """Correct by ours, of the stated."""
    official: int = 0
    credited: int = 0
    """Rows without a stated answer that the official scorer calls correct."""
    decided: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    """Processor time of this process."""


def arguments(row: Row) -> tuple[str, str, list[str] | None, AnswerKind | None]:
    """Return the arguments of `verify_answer` for a stored row."""
    answer = row["answer"]
    if isinstance(answer, list):
        answer = answer[0] if len(answer) == 1 else ", ".join(answer)
    answer = str(answer)
    choices = row.get("choices") or None
    if choices and isinstance(choices[0], list):  # One MMMU-Pro row nests its options.
        choices = choices[0]
    kind: AnswerKind | None = None
    if row["benchmark"] == "logicvista":
        choices, kind = options_in_question(row["question"] or ""), "choice"
    elif row["benchmark"] == "gsm8k" or row.get("answer_type") in ("integer", "float"):
        kind = "number"
    return row["response"] or "", answer, list(choices) if choices else None, kind


def states(row: Row) -> bool:
    """Whether the official extraction is an answer: a letter, an option, or a free value."""
    text = row.get("official_extraction")
    if row["benchmark"] == "mmmu_pro":
        return text in _MMMU_STATED.findall((row["response"] or "").strip())
    if text is None or text == [] or not str(text).strip() or not (row["response"] or "").strip():
        return False
    text = str(text)
    if row["benchmark"] == "logicvista":
        return all(len(letter) == 1 for letter in ast.literal_eval(text))
    if row["benchmark"] in ("gsm8k", "gaokao-mathcloze"):
        return True
    choices = row.get("choices")
    if choices:
        packed = {re.sub(r"[\s$]", "", option).casefold() for option in choices}
        stated = named_letters(text, choices)
        inside = len(stated) == 1 and min(stated) in LETTERS[: len(choices)]
        return inside or re.sub(r"[\s$]", "", text).casefold() in packed
    if row.get("answer_type") == "list":
        return "[" in text
    try:
        return parse_constant(text) is not None or (
            row["benchmark"] == "mathvision" and bool(_LETTER.fullmatch(text))
        )
    except ValueError:
        return True


def read_exceptions(path: Path) -> dict[Key, str]:
    """Read the reasons for known differences: (benchmark, model, id) to reason."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {(row["benchmark"], row["model"], row["id"]): row["reason"] for row in rows}


def score(rows: list[Row], sink: Any, exceptions: Container[Key]) -> Tally:
    """Verify the rows of one file of outputs and write the disagreements to `sink`."""
    tally = Tally(rows=len(rows))
    start = time.process_time()
    verdicts = [verify_answer(*arguments(row)) for row in rows]
    tally.seconds = time.process_time() - start
    for row, verdict in zip(rows, verdicts, strict=True):
        ours, official = verdict.outcome is Outcome.CORRECT, bool(row["official_correct"])
        stated = states(row)
        tally.decided[verdict.decided_by] += 1
        if stated:
            tally.stated += 1
            tally.agree += ours == official
            tally.listed += (
                ours != official and (row["benchmark"], row["model"], row["id"]) in exceptions
            )
            tally.ours += ours
            tally.official += official
        else:
            tally.credited += official
        if sink and ours != official:
            sink.write(json.dumps(_difference(row, verdict, stated), ensure_ascii=False) + "\n")
    return tally


def _difference(row: Row, verdict: Verdict, stated: bool) -> Row:
    keys = (
        "benchmark",
        "model",
        "id",
        "question",
        "choices",
        "answer",
        "answer_type",
        "response",
        "official_extraction",
    )
    kept = {key: row.get(key) for key in (*keys, "official_correct")}
    return kept | {
        "stated": stated,
        "ours": verdict.outcome.value,
        "rule": verdict.decided_by,
        "extraction": verdict.extraction,
    }


def table(tallies: dict[str, Tally]) -> list[str]:
    """Return Markdown rows on each file of outputs and on each benchmark in total."""
    lines = []
    for name, tally in tallies.items():
        differ = tally.stated - tally.agree
        apart = share(tally.agree, tally.stated - tally.listed) if tally.listed else ""
        counts = (
            tally.rows,
            tally.stated,
            share(tally.agree, tally.stated),
            differ,
            tally.listed or "",
            apart,
        )
        counts = (*counts, tally.official, tally.ours, tally.credited)
        lines.append(
            f"| {name} | {' | '.join(map(str, counts))} | {tally.rows / tally.seconds:,.0f} |"
        )
    return lines


def share(part: int, whole: int) -> str:
    """Format a share in percent; a dash if the whole is 0."""
    return f"{100 * part / whole:.2f}%" if whole else "-"


def merged(tallies: dict[str, Tally]) -> dict[str, Tally]:
    """Sum the counts by benchmark; rows from programs are kept apart from prose."""
    totals: dict[str, Tally] = {}
    for name, tally in tallies.items():
        group = name.partition("__")[0] + (" (programs)" if "_code" in name else "")
        total = totals.setdefault(group, Tally())
        for key in ("rows", "stated", "agree", "listed", "ours", "official", "credited", "seconds"):
            setattr(total, key, getattr(total, key) + getattr(tally, key))
        total.decided += tally.decided
    return totals


def report(tallies: dict[str, Tally], data: Path) -> str:
    """Return the tables by benchmark and by file of outputs, as Markdown."""
    columns = (
        "rows",
        "an answer stated",
        "agreement",
        "differ",
        "of these official misreads, listed",
        "agreement without the listed",
    )
    columns = (*columns, "official correct", "ours correct", "credited without answer")
    head = " | ".join((*columns, "verdicts/s of processor time |"))
    rule = "| --- " * 11 + "|"
    arguments = " ".join(sys.argv[1:3]).replace(str(data), "DIR")
    return "\n".join(
        [
            "# Verdicts from raw responses beside published official verdicts",
            "",
            *REMARKS,
            "",
            f"| benchmark | {head}",
            rule,
            *table(merged(tallies)),
            "",
            f"| run | {head}",
            rule,
            *table(tallies),
            "",
            f"`python benchmarks/verify_agreement.py {arguments}`, vasari {vasari.__version__},"
            f" Python {platform.python_version()}, {MACHINE}.",
        ]
    )


def main() -> None:
    """Run the benchmark, print its tables and write them to a file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", default="")
    parser.add_argument("--disagreements", type=Path)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    tallies: dict[str, Tally] = {}
    exceptions = read_exceptions(EXCEPTIONS)
    sink = args.disagreements.open("w", encoding="utf-8") if args.disagreements else None
    for path in sorted(args.data.glob(f"*{args.only or '_'}*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
        name = path.name.removesuffix(".jsonl.gz")
        tallies[name] = score(rows, sink, exceptions)
        print(*table({name: tallies[name]}), dict(tallies[name].decided.most_common()), flush=True)
    if sink:
        sink.close()
    text = report(tallies, args.data)
    print(text)
    if not args.only:
        result_file("verify_agreement", args.out).write_text(text + "\n")
        if stale := len(exceptions) - sum(tally.listed for tally in tallies.values()):
            sys.exit(f"{stale} listed rows do not differ, or are not in this data")


if __name__ == "__main__":
    main()
