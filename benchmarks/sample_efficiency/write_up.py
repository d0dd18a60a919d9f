"""Write the results of the study, and of its pilot, as Markdown and JSON."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import vasari
from result_files import MACHINE, result_file
from sample_efficiency.analysis import (
    TARGET_SHARE,
    Beside,
    Curves,
    Result,
    beside,
    confirmatory,
    false_positive_rate,
    mean_curve,
    null_arm,
    pair,
    share,
)
from sample_efficiency.arms import CONFIRMATORY
from sample_efficiency.curves import MEASURES, Curve, Floats, Run, marks_of
from sample_efficiency.design import (
    BASE,
    FINAL_RUNS,
    MARGIN,
    NON_INFERIORITY_POOLS,
    NULL,
    NULL_POOL,
    OURS,
    STUDY_POOLS,
    SUPERIORITY_POOLS,
    TESTS,
)
from sample_efficiency.inference import ALPHA, Mean, mean_of, supported_margin
from sample_efficiency.planning import Planned, distinct_cells
from vasari.core.files import read_json, write_json


def read_curves(planned: Sequence[Planned]) -> Curves:
    """Return the finished training runs of a plan by pool and arm."""
    found: dict[tuple[str, str], dict[Run, Curve]] = {}
    read: dict[Any, Curve] = {}
    for one in planned:
        if one.cell.done():
            path = one.cell.curve_path
            if path not in read:
                read[path] = Curve.read(read_json(path))
            found.setdefault((one.pool, one.arm), {})[one.run] = read[path]
    return found


def points(mean: Mean, digits: int = 1) -> str:
    """Format a mean difference of accuracy in points, with its t-interval."""
    if math.isnan(mean.value):
        return "-"
    form = f"+.{digits}f"
    if math.isnan(mean.low):
        return f"{100 * mean.value:{form}}"
    return f"{100 * mean.value:{form}} ({100 * mean.low:{form}} to {100 * mean.high:{form}})"


def p_value(p: float) -> str:
    """Format a p-value; a dash for nan."""
    return "-" if math.isnan(p) else "<0.001" if p < 0.001 else f"{p:.3f}"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [f"| {' | '.join(headings)} |", "| --- " * len(headings) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def table_of_tests(results: Sequence[Result]) -> str:
    """Return the table of confirmatory tests or of the null arm's, those without a claim first."""
    headings = ("pool", "measure", "test", "runs", "points, 95% t-interval", "bootstrap")
    headings += ("sign-flip p", "one-sided p", "Holm p", "claim")
    rows = []
    for found in sorted(results, key=lambda found: found.claimed):
        low, high = found.bootstrap
        claim = "yes" if found.claimed else "no" if found.complete else "incomplete"
        row = [found.test.pool, found.test.measure, found.test.kind, str(found.mean.num)]
        bootstrap = "-" if math.isnan(low) else f"{100 * low:+.1f} to {100 * high:+.1f}"
        row += [points(found.mean), bootstrap]
        row += [p_value(p) for p in (found.sign_flip_p, found.p, found.adjusted)]
        rows.append([*row, claim])
    return table(headings, rows)


def beside_table(rows: Sequence[Beside]) -> str:
    """Return the table of differences of accuracy in points, with t-intervals."""
    headings = ("pool", "arm", "less", "runs", "greedy over budget", "sampled over budget")
    headings += ("greedy at end", "sampled at end")
    return table(
        headings,
        [
            [row.pool, row.arm, row.base, str(row.over_budget["greedy"].num)]
            + [points(row.over_budget[name]) for name in MEASURES]
            + [points(row.final[name]) for name in MEASURES]
            for row in rows
        ],
    )


def survival_table(rows: Sequence[Beside]) -> str:
    """Return the table of rollouts to the target, censored at the budget."""
    headings = ("pool", "arm", "less", "reached target", "mean rollouts to it, up to the budget")
    headings += ("less the other's, 95% t-interval", "log-rank p")
    return table(
        headings,
        [
            [
                *(row.pool, row.arm, row.base, f"{row.reached[0]} of {row.reached[1]}"),
                _number(row.restricted),
                f"{_number(row.saved.value)} ({_number(row.saved.low)} to"
                f" {_number(row.saved.high)})",
                p_value(row.log_rank_p),
            ]
            for row in rows
        ],
    )


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:,.0f}"


def arms_table(curves: Curves, marks: Floats) -> str:
    """Return the table of each arm's curve, groups, tokens and time."""
    headings = ("pool", "arm", "runs", "greedy at marks", "sampled at marks", "silent groups")
    headings += ("wrong labels", "prompts trained on", "tokens", "median CPU s")
    rows = []
    for (pool, arm), own in curves.items():
        cells = [curve.cell for curve in own.values()]
        tokens = float(np.mean([sum(cell["tokens"].values()) for cell in cells]))
        distinct = float(np.mean([cell["groups"]["distinct"][-1] for cell in cells]))
        rows.append(
            [pool, arm, str(len(own))]
            + [
                " ".join(f"{100 * value:.1f}" for value in mean_curve(own, name, marks))
                for name in MEASURES
            ]
            + [f"{100 * share(own, kind):.0f}%" for kind in ("silent", "wrong_label")]
            + [f"{distinct:.0f}", f"{tokens:,.0f}"]
            + [f"{np.median([cell['cpu_seconds'] for cell in cells]):.0f}"]
        )
    return table(headings, rows)


def completeness(planned: Sequence[Planned]) -> str:
    """Describe how many cells (training runs) are done, which are missing, and their commits."""
    cells = distinct_cells(planned)
    missing = [cell.name for cell in cells if not cell.curve_path.exists()]
    commits = sorted({read_json(c.curve_path)["commit"] for c in cells if c.curve_path.exists()})
    text = f"All {len(cells)} cells are done."
    if missing:
        named = "; ".join(missing[:6]) + ("; ..." if len(missing) > 6 else "")
        text = f"**Incomplete: {len(cells) - len(missing)} of {len(cells)} cells.** {named}."
    if len(commits) > 1:
        text += " **Not at one commit: nothing below is confirmatory.**"
    return f"{text} Code: {', '.join(commits) or 'none'}."


def secondary(curves: Curves, marks: Floats) -> list[Beside]:
    """Return each arm beside uniform sampling, and ours beside the other arms, by pool."""
    found = []
    for pool, arm in curves:
        if arm != BASE:
            found.append(beside(curves, pool, arm, BASE, marks=marks))
        if arm not in (BASE, NULL, OURS):
            found.append(beside(curves, pool, OURS, arm, marks=marks))
    return [one for one in found if one is not None]


def verdicts(results: Sequence[Result]) -> str:
    """Return what the confirmatory tests claim of each pool and of the sampler, as a list."""
    met = {}
    for pool in STUDY_POOLS:
        own = [found for found in results if found.test.pool == pool]
        met[pool] = bool(own) and all(found.claimed for found in own)
    win = all(met[pool] for pool in (NULL_POOL, *NON_INFERIORITY_POOLS))
    lines = [
        (met[pool], f"{kind} on `{pool}`: {'shown' if met[pool] else 'not shown'}")
        for kind, pools in (("a gain", SUPERIORITY_POOLS), ("no harm", NON_INFERIORITY_POOLS))
        for pool in pools
    ]
    lines.append((win, f"**a win of `{OURS}`: {'yes' if win else 'no'}**"))
    return "\n".join(f"* {line}" for _, line in sorted(lines, key=lambda line: line[0]))


def confirmed(curves: Curves, marks: Floats, facts: dict[str, Any]) -> list[str]:
    """Return the sections of the pre-registered tests and of the null; numbers go to `facts`."""
    results = confirmatory(curves, runs=FINAL_RUNS, marks=marks)
    null = null_arm(curves, runs=FINAL_RUNS, marks=marks)
    rate = false_positive_rate(curves, marks=marks)
    facts["confirmatory"] = [dataclasses.asdict(one) for one in results]
    facts["null"] = [dataclasses.asdict(one) for one in null]
    facts["false_positive_rate"] = rate
    return [
        f"## Confirmatory: `{OURS}` less `{BASE}`\n\nFamily-wise {ALPHA} one-sided (Holm over"
        f" {len(results)} tests); margin {100 * MARGIN:.0f} points; primary: the t-test.\n\n"
        f"{verdicts(results)}\n\n{table_of_tests(results)}",
        f"## The same of `{NULL}`, which cannot gain\n\n{table_of_tests(null)}\n\nWith signs"
        f" flipped at random the whole procedure claims something in {100 * rate:.1f}% of cases.",
    ]


def compared(title: str, curves: Curves, marks: Floats, facts: dict[str, Any]) -> str:
    """Return the section of all comparisons without claims; numbers go to `facts`."""
    rows = secondary(curves, marks)
    facts[title.lower()] = [dataclasses.asdict(one) for one in rows]
    return (
        f"## {title}: no claims\n\n{beside_table(rows)}\n\nRollouts to {TARGET_SHARE:.0%} of"
        f" `{BASE}`'s mean gain of sampled accuracy on the cold start (Kaplan-Meier):\n\n"
        f"{survival_table(rows)}\n\n{arms_table(curves, marks)}"
    )


def measured(chosen: argparse.Namespace, planned: Sequence[Planned]) -> str:
    """Return the section that says how everything was measured."""
    grpo = planned[0].cell.task.recipe["grpo"]
    per_batch = grpo["prompts_per_batch"] * grpo["rollouts_per_prompt"]
    return (
        f"## How measured\n\n{chosen.budget:,} rollouts a cell of all purposes, batches of"
        f" {grpo['prompts_per_batch']} x {grpo['rollouts_per_prompt']}"
        f" ({chosen.budget // per_batch} at most), learning rate"
        f" {grpo['trl']['learning_rate']:g} for every arm. Accuracy on {chosen.held_out} held-out"
        f" prompts, one greedy and {chosen.sampled} sampled rollouts each, before training and at"
        f" {chosen.marks} marks; 'over the budget' is the trapezoid rule. Pairs share cold start,"
        " prompts and seed. Single threads; CPU seconds of the training and its measurements."
    )


def write_study(
    chosen: argparse.Namespace, planned: Sequence[Planned], explored: Sequence[Planned] = ()
) -> str:
    """Analyse the finished cells, write Markdown and JSON, and return the Markdown.

    Args:
        chosen: The command line.
        planned: Cells of the study, or of exploratory arms alone.
        explored: Cells of exploratory arms that are shown after those of the study.
    """
    curves, marks = read_curves(planned), marks_of(chosen.budget, chosen.marks)
    exploring = chosen.command == "explore" or any(one.arm not in CONFIRMATORY for one in planned)
    sections = [f"# Choosing prompts beside uniform sampling\n\n{completeness(planned)}"]
    facts: dict[str, Any] = {"schema": 2, "budget": chosen.budget, "marks": marks.tolist()}
    if exploring:
        sections.append(compared("Exploratory", curves, marks, facts))
    else:
        sections += confirmed(curves, marks, facts)
        sections.append(compared("Secondary", curves, marks, facts))
    if explored:
        sections.append(compared("Exploratory", read_curves(explored), marks, facts))
    sections.append(measured(chosen, planned))
    if chosen.small:
        sections.insert(0, "**A smoke test: these numbers mean nothing.**")
    name = "sample_efficiency_explored" if exploring else "sample_efficiency_study"
    return _written(chosen, name, sections, facts)


def write_pilot(chosen: argparse.Namespace, planned: Sequence[Planned]) -> str:
    """Describe the pilot's variances and times, and what 12 runs can show; return the Markdown."""
    curves, marks = read_curves(planned), marks_of(chosen.budget, chosen.marks)
    rows, facts = [], {}
    for (pool, arm), name in itertools.product(curves, MEASURES):
        found = pair(curves, pool, arm, BASE, measure=name, marks=marks).differences
        if arm == BASE or found.size < 2:
            continue
        margin = supported_margin(found, num_runs=len(FINAL_RUNS))
        first = supported_margin(found, num_runs=len(FINAL_RUNS), alpha=ALPHA / len(TESTS))
        rows.append([pool, arm, name, str(found.size), points(mean_of(found))])
        rows[-1] += [f"{100 * n:.2f}" for n in (mean_of(found).deviation, margin, first)]
        facts[f"{pool} / {arm} / {name}"] = {"differences": found.tolist(), "margin": margin}
    headings = ("pool", "arm", "measure", "pairs", f"points over {BASE}", "deviation of pairs")
    headings += ("margin at 80% power", "at Holm's first step")
    sections = [
        f"# Pilot of the study of samplers\n\n{completeness(planned)}",
        f"## What {len(FINAL_RUNS)} runs can show\n\n{table(headings, rows)}",
        f"## Arms\n\n{arms_table(curves, marks)}",
        measured(chosen, planned),
    ]
    return _written(chosen, "sample_efficiency_pilot", sections, {"schema": 2, "pilot": facts})


def _written(
    chosen: argparse.Namespace, name: str, sections: Sequence[str], facts: dict[str, Any]
) -> str:
    target = result_file(name, chosen.results)
    text = "\n\n".join([*sections, f"vasari {vasari.__version__}, {MACHINE}.\n"])
    target.write_text(text)
    write_json(target.with_suffix(".json"), _plain(facts))
    return f"{text}\nwritten to {target}"


def _plain(value: Any) -> Any:
    """Return a value for JSON, with None in place of nan."""
    text = json.dumps(value, default=lambda found: found.tolist())
    return json.loads(text, parse_constant=lambda _: None)
