"""The table of results: the paper's columns, honest cells, and names that try to break out of three
formats."""

from __future__ import annotations

import html.parser
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.evaluate.benchmarks import as_html, as_latex, as_markdown, results_table

COLUMNS = ("mathverse", "mathvista", "mathvision", "logicvista", "chartqa")
TITLES = ("MathVerse", "MathVista", "MathVision", "LogicVista", "ChartQA")
# arXiv:2509.21268, table 2: MMR1-7B.
PAPER_ROW = (55.4, 72.0, 31.8, 48.9, 83.7)


def one_set(name, title, mean, *, num_rollouts=1000, **changes):
    counts = {
        "correct": 1,
        "wrong": 1,
        "truncated": 0,
        "unverifiable": 0,
        "needs_judge": 0,
        "unanswered": 0,
        "no_answer": 0,
    }
    score = {
        "accuracy": {"mean": mean / 100, "standard_error": 0.012, "low": 0, "high": 1, "n": 5},
        "num_rollouts": num_rollouts,
        "counts": counts | changes.pop("counts", {}),
    }
    return {
        "title": title, "benchmark": name, "split": "test", "reported_split": "test", "num_prompts": 1000, "num_missing": 0,
        "published_size": 1000, "is_whole": True, "protocols": {"paper": score},
        "decoding": {"num_rollouts": 1, "temperature": 0.0, "top_p": 1.0, "max_tokens": 4096},
    } | changes  # fmt: skip


def result(model="MMR1-7B", **sets):
    whole = {
        name: one_set(name, title, mean)
        for name, title, mean in zip(COLUMNS, TITLES, PAPER_ROW, strict=True)
    } | sets
    means = [
        found["protocols"]["paper"]["accuracy"]["mean"]
        for found in whole.values()
        if "paper" in found["protocols"]
    ]
    return {
        "model": model,
        "prompt": "paper",
        "protocols": ["paper"],
        "sets": dict(reversed(whole.items())),
        "average": {"paper": {"mean": sum(means) / len(means), "num_sets": len(means)}},
    }


def test_columns_stand_in_the_papers_order_and_the_last_is_their_plain_mean():
    table = results_table([result()])
    assert table.head == ("Model", *TITLES, "Avg.")
    # (55.4 + 72.0 + 31.8 + 48.9 + 83.7) / 5 = 58.36, which the paper gives as 58.4.
    expected = (
        "MMR1-7B",
        "55.4 ± 1.2",
        "72.0 ± 1.2",
        "31.8 ± 1.2",
        "48.9 ± 1.2",
        "83.7 ± 1.2",
        "58.4",
    )
    assert table.rows == (expected,)


def test_a_score_that_lacks_a_judge_is_a_lower_bound_and_one_that_lacks_everything_is_none():
    some = one_set("mathvista", "MathVista", 30, counts={"needs_judge": 400})
    none = one_set("mathverse", "MathVerse", 0, counts={"needs_judge": 1000})
    table = results_table([result(mathvista=some, mathverse=none)])
    assert table.rows[0][1:3] == ("-", "≥ 30.0 ± 1.2")
    assert table.rows[0][-1] == "-"
    assert any("of 1,000 rollouts 400 need an LLM" in note for note in table.notes)
    assert results_table([result(mathvista=some)]).rows[0][-1].startswith("≥ ")


def test_part_of_a_benchmark_another_split_and_cut_rollouts_are_said():
    part = one_set(
        "logicvista",
        "LogicVista",
        50,
        num_prompts=160,
        published_size=448,
        is_whole=False,
        num_missing=3,
        counts={"truncated": 7},
    )
    mini = one_set("mathvision", "MathVision", 20, split="testmini")
    notes = " ".join(results_table([result(logicvista=part, mathvision=mini)]).notes)
    assert "LogicVista: 160 of 448 prompts of test, 3 not asked yet." in notes
    assert "LogicVista: 7 of 1,000 rollouts were cut by the token limit." in notes
    assert "MathVision: split testmini, where test is reported." in notes
    assert "at most 4,096 tokens" in notes


def test_notes_say_whose_they_are_where_there_are_several_models():
    cut = one_set("mathvista", "MathVista", 30, counts={"truncated": 7})
    notes = results_table([result("a", mathvista=cut), result("b")]).notes
    assert "a, MathVista: 7 of 1,000 rollouts were cut by the token limit." in notes
    assert (
        "MathVista: 7 of 1,000 rollouts were cut by the token limit."
        in results_table([result("a", mathvista=cut)]).notes
    )


def test_a_model_without_some_column_has_a_gap_and_no_mean():
    short = result("small")
    del short["sets"]["chartqa"]
    short["average"]["paper"]["num_sets"] = 4
    table = results_table([result(), short])
    assert table.rows[1][-2:] == ("-", "-")


HOSTILE = (
    r"<script>alert('x')</script> | `a` **b** _c_ \input{/etc/passwd} $x^2$ & 100% #1 ~ {"
    + "\n\nnew | line"
)


class Tags(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.text = [], ""

    def handle_starttag(self, tag, attrs):
        self.found.append(tag)

    def handle_data(self, data):
        self.text += data


def test_a_hostile_name_stays_text_in_html():
    plain, hostile = Tags(), Tags()
    plain.feed(as_html(results_table([result("plain")])))
    hostile.feed(as_html(results_table([result(HOSTILE)])))
    assert hostile.found == plain.found
    assert HOSTILE.split("\n", maxsplit=1)[0] in hostile.text


def test_a_hostile_name_stays_one_cell_in_markdown():
    lines = as_markdown(results_table([result(HOSTILE)])).splitlines()
    row = lines[2]
    assert len(re.findall(r"(?<!\\)\|", row)) == len(re.findall(r"(?<!\\)\|", lines[0])) == 8
    assert "<script" not in row.replace("\\<", "")


@given(st.text(max_size=80))
def test_a_name_can_neither_end_a_latex_cell_nor_call_a_command(name):
    (row,) = [
        line
        for line in as_latex(results_table([result(name)])).splitlines()
        if line.endswith(r"58.4 \\")
    ]
    cell = row[: -len(row.split(" & ", 1)[1]) - 3]
    bare = re.sub(
        r"\\(?:textbackslash|textasciitilde|textasciicircum|textless|textgreater)\{\}|\\[&%$#_{}]",
        "",
        cell,
    )
    assert not set(bare) & set("\\&%$#_{}~^<>")
    assert row.count(" & ") == 6


@given(st.text(max_size=80))
def test_a_name_in_a_latex_note_stays_a_comment(name):
    text = as_latex(results_table([result(name)]))
    _, notes = text.split("\\end{tabular}\n")
    assert all(line.startswith("% ") for line in notes.splitlines())


def test_a_protocol_that_was_not_used_leaves_gaps():
    assert results_table([result()], protocol="vasari").rows[0][1:] == ("-",) * 6


@pytest.mark.parametrize("write", [as_markdown, as_latex, as_html])
def test_every_format_has_every_number(write):
    text = write(results_table([result()]))
    assert all(f"{value:.1f}" in text for value in (*PAPER_ROW, 58.4))
