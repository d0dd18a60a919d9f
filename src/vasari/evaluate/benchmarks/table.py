"""Tables of benchmark results laid out as table 2 of arXiv:2509.21268, in three formats."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vasari.core.files import write_bytes
from vasari.evaluate.benchmarks.catalogue import PAPER_COLUMNS
from vasari.evaluate.benchmarks.settings import BenchmarkDir

_TEX = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}",
    "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
}  # fmt: skip
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|])")


@dataclass(frozen=True, slots=True)
class Table:
    """A table of unescaped text cells: header, rows and notes."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


def results_table(results: Sequence[Mapping[str, Any]], *, protocol: str | None = None) -> Table:
    """Build a table with a row per evaluated model: accuracies in percent, standard errors, notes.

    Args:
        results: From `evaluate_benchmarks`, a row each.
        protocol: Whose numbers; None: the first one of each result.
    """
    names = _columns(results)
    titles = [
        next(one["sets"][name]["title"] for one in results if name in one["sets"]) for name in names
    ]
    doubled = {title for title in titles if titles.count(title) > 1}
    heads = [
        f"{title} ({name})" if title in doubled else title
        for name, title in zip(names, titles, strict=True)
    ]
    notes: list[str] = []
    rows = []
    for result in results:
        chosen = protocol or result["protocols"][0]
        remarks: list[str] = []
        cells = [_cell(result["sets"].get(name), chosen, remarks) for name in names]
        notes += (
            [f"{result['model']}, {remark}" for remark in remarks] if len(results) > 1 else remarks
        )
        rows.append((result["model"], *cells, _average(result, chosen, names)))
    used = {protocol or one["protocols"][0] for one in results}
    first = [
        (
            "Accuracy in percent ± clustered standard error, by protocol"
            f" {', '.join(sorted(used))}; the last column is the plain mean of the others."
        ),
        *(_how(one) for one in results),
    ]
    return Table(("Model", *heads, "Avg."), tuple(rows), tuple(dict.fromkeys([*first, *notes])))


def as_markdown(table: Table) -> str:
    """Return the table in GitHub's Markdown, with every cell escaped."""
    lines = [_markdown_row(table.head), "|" + " --- |" + " ---: |" * (len(table.head) - 1)]
    lines += [_markdown_row(row) for row in table.rows]
    return "\n".join([*lines, "", *(f"* {_markdown(note)}" for note in table.notes), ""])


def as_latex(table: Table) -> str:
    """Return the table in LaTeX with booktabs rules, with every cell escaped."""
    lines = [
        f"\\begin{{tabular}}{{l{'r' * (len(table.head) - 1)}}}",
        "\\toprule",
        _tex_row(table.head),
        "\\midrule",
        *(_tex_row(row) for row in table.rows),
        "\\bottomrule",
        "\\end{tabular}",
        *(f"% {' '.join(note.split())}" for note in table.notes),
    ]
    return "\n".join(lines) + "\n"


def as_html(table: Table) -> str:
    """Return the table as a complete HTML page without other files, with every cell escaped."""
    head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in table.head)
    rows = "\n".join(
        f'<tr><th scope="row">{html.escape(row[0])}</th>'
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in table.rows
    )
    notes = "\n".join(f"<li>{html.escape(note)}</li>" for note in table.notes)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>Benchmark'
        " results</title>\n<style>\n"
        "body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 64rem; padding:"
        " 0 1rem; }\n"
        "table { border-collapse: collapse; display: block; overflow-x: auto; }\n"
        "th, td { padding: 0.3rem 0.8rem; text-align: right; white-space: nowrap; }\n"
        "th:first-child { text-align: left; }\n"
        "thead { border-block: 2px solid; } tbody { border-bottom: 2px solid; }\n"
        "@media (prefers-color-scheme: dark) { body { background: #16181c; color: #e6e6e6; } }\n"
        "</style>\n</head>\n<body>\n<h1>Benchmark"
        f" results</h1>\n<table>\n<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{rows}\n</tbody>\n</table>\n<ul>\n{notes}\n</ul>\n</body>\n</html>\n"
    )


def as_category_markdown(result: Mapping[str, Any]) -> str:
    """Return Markdown tables of accuracy by scoring protocol, one per benchmark set and category.

    Args:
        result: From `evaluate_benchmarks`.
    """
    protocols = list(result["protocols"])
    lines = [
        (
            "Accuracy in percent ± clustered standard error. A prompt with several labels of a"
            " category counts in each; what is undecided counts as not solved."
        ),
        "",
    ]
    for name, one in result["sets"].items():
        scores = one["protocols"]
        if not scores:
            continue
        for heading in scores[protocols[0]]["by_category"]:
            lines += [
                _markdown_row([f"{name}: {heading}", "prompts", *protocols]),
                "| --- |" + " ---: |" * (len(protocols) + 1),
            ]
            by_protocol = [scores[protocol]["by_category"][heading] for protocol in protocols]
            for label, first in by_protocol[0].items():
                cells = (_category_cell(found[label]) for found in by_protocol)
                lines.append(_markdown_row([label, f"{first['num_prompts']:,}", *cells]))
            lines.append("")
    return "\n".join(lines)


def _category_cell(found: Mapping[str, Any]) -> str:
    if found["num_undecided"] == found["num_rollouts"]:
        return "-"
    return _percent(found["accuracy"], undecided=found["num_undecided"])


def write_tables(
    results: Sequence[Mapping[str, Any]], folder: BenchmarkDir, *, protocol: str | None = None
) -> None:
    """Write a table of benchmark results to a folder: `table.md`, `table.tex`, `table.html`."""
    table = results_table(results, protocol=protocol)
    for suffix, write in ((".md", as_markdown), (".tex", as_latex), (".html", as_html)):
        write_bytes(folder.table(suffix), write(table).encode())


def _columns(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the set names in the order of the paper's table, then all other sets as they come."""
    names = list(dict.fromkeys(name for one in results for name in one["sets"]))

    def rank(name: str) -> int:
        benchmark = next(one["sets"][name]["benchmark"] for one in results if name in one["sets"])
        return PAPER_COLUMNS.index(benchmark) if benchmark in PAPER_COLUMNS else len(PAPER_COLUMNS)

    return sorted(names, key=rank)


def _cell(found: Mapping[str, Any] | None, protocol: str, notes: list[str]) -> str:
    if found is None or protocol not in found["protocols"]:
        return "-"
    if not found["is_whole"]:
        size = found["published_size"]
        whole = f" of {size:,}" if size else ""
        missing = f", {found['num_missing']:,} not asked yet" if found["num_missing"] else ""
        notes.append(
            f"{found['title']}: {found['num_prompts']:,}{whole} prompts of"
            f" {found['split']}{missing}."
        )
    if found["split"] != found["reported_split"]:
        notes.append(
            f"{found['title']}: split {found['split']}, where {found['reported_split']} is"
            " reported."
        )
    if found.get("template"):
        notes.append(f"{found['title']}: questions are put by a template of the recipe.")
    score = found["protocols"][protocol]
    counts, rollouts = score["counts"], score["num_rollouts"]
    undecided = _undecided(counts)
    if counts["truncated"]:
        notes.append(
            f"{found['title']}: {counts['truncated']:,} of {rollouts:,} rollouts were cut by the"
            " token limit."
        )
    if undecided:
        parts = [
            f"{counts[name]:,} {words}"
            for name, words in (
                ("needs_judge", "need an LLM by the benchmark's own rules"),
                ("unverifiable", "could not be verified"),
                ("unanswered", "got no answer"),
            )
            if counts[name]
        ]
        notes.append(
            f"{found['title']}: of {rollouts:,} rollouts {', '.join(parts)}; they count as not"
            " solved, hence ≥."
        )
    if undecided == rollouts:
        return "-"
    return _percent(score["accuracy"], undecided=undecided)


def _percent(accuracy: Mapping[str, float], *, undecided: int) -> str:
    sign = "≥ " if undecided else ""
    return f"{sign}{100 * accuracy['mean']:.1f} ± {100 * accuracy['standard_error']:.1f}"


def _average(result: Mapping[str, Any], protocol: str, names: Sequence[str]) -> str:
    average = result["average"].get(protocol)
    if average is None or average["num_sets"] < len(names):
        return "-"  # a mean over other columns than the row above would invite a comparison
    scores = [result["sets"][name]["protocols"][protocol] for name in names]
    undecided = [_undecided(score["counts"]) for score in scores]
    if any(count == score["num_rollouts"] for count, score in zip(undecided, scores, strict=True)):
        return "-"
    return f"{'≥ ' if any(undecided) else ''}{100 * average['mean']:.1f}"


def _undecided(counts: Mapping[str, int]) -> int:
    return counts["needs_judge"] + counts["unverifiable"] + counts["unanswered"]


def _how(result: Mapping[str, Any]) -> str:
    decoding = next(iter(result["sets"].values()))["decoding"]
    rollouts, temperature, top_p, limit = (
        decoding[name] for name in ("num_rollouts", "temperature", "top_p", "max_tokens")
    )
    share = "" if top_p == 1 else f", top-p {top_p:g}"
    return (
        f"{result['model']}: prompt {result['prompt']}, {rollouts}"
        f" rollout{'s' if rollouts > 1 else ''} a prompt, temperature {temperature:g}{share}, at"
        f" most {limit:,} tokens."
    )


def _markdown_row(cells: Sequence[str]) -> str:
    """Return a row of a Markdown table, with every cell escaped."""
    return "| " + " | ".join(_markdown(cell) for cell in cells) + " |"


def _markdown(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def _tex_row(cells: Sequence[str]) -> str:
    return " & ".join(_tex(cell) for cell in cells) + " \\\\"


def _tex(text: str) -> str:
    plain = "".join(_TEX.get(character, character) for character in " ".join(text.split()))
    return plain.replace("≥ ", r"$\geq$\,").replace(" ± ", r"\,$\pm$\,")
