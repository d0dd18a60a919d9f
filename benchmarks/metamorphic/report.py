"""The write-up: totals, kinds of references, rules and wrappers, with the peer beside ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from metamorphic.tally import Count, Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What was measured and how."""

    ours: Tally
    """On all pairs."""
    ours_in_sample: Tally
    peer: Tally
    """On the sample; empty without a peer."""
    per_rule: int
    num_wrappers: int
    command: str
    versions: str


def write_up(run: Run) -> str:
    """Return the report in Markdown."""
    parts = [
        *_head(run),
        *_peer(run),
        "## By kind of reference",
        "",
        *_table("kind", run.ours.by_kind),
        "",
        "## By rule",
        "",
        *_rules(run.ours),
        "",
        "## By wrapper",
        "",
        *_table("wrapper", run.ours.by_wrapper),
        "",
        f"`{run.command}`, {run.versions}.",
    ]
    return "\n".join(parts) + "\n"


def _head(run: Run) -> list[str]:
    total = run.ours.total
    number = total.wrong + total.equal
    return [
        "# Verdicts on generated answers that are certified equal or wrong",
        "",
        (
            f"{number:,} pairs, {run.per_rule} by each of {len(run.ours.by_rule)} rules, in"
            f" {run.num_wrappers} ways to state an answer. An oracle that shares no code with the"
            " verifier has confirmed every label. A false positive is a wrong answer called"
            " correct; a false negative is an equal answer called anything else, and"
            " *unverifiable* counts those of them that were called so."
        ),
        "",
        *_header("verifier"),
        _row("vasari", total),
        "",
    ]


def _peer(run: Run) -> list[str]:
    if not run.peer.total.wrong and not run.peer.total.equal:
        return []
    number = run.peer.total.wrong + run.peer.total.equal
    by_kind = [
        f"| {kind} | {_share(ours.paid, ours.wrong)} | {_share(theirs.paid, theirs.wrong)}"
        f" | {_share(ours.refused, ours.equal)} | {_share(theirs.refused, theirs.equal)} |"
        for kind, ours in run.ours_in_sample.by_kind.items()
        for theirs in (run.peer.by_kind[kind],)
    ]
    return [
        "## Math-Verify beside ours",
        "",
        (
            f"Both on the same random sample of {number:,} of the pairs. Math-Verify has its"
            " default limits; its exceptions count as unverifiable. It reads math in LaTeX, so"
            " references and answers that are math are put between dollar signs for it, with"
            " LaTeX's spelling of their signs; ours gets them as they are. It is no reader of"
            " words, names and dates: see the kinds."
        ),
        "",
        *_header("verifier"),
        _row("vasari", run.ours_in_sample.total),
        _row("Math-Verify", run.peer.total),
        "",
        "| kind | false positives, vasari | Math-Verify | false negatives, vasari | Math-Verify |",
        "| --- " * 5 + "|",
        *by_kind,
        "",
    ]


def _header(what: str) -> list[str]:
    return [
        f"| {what} | wrong answers | false positives | equal answers | false negatives |"
        " unverifiable |",
        "| --- " * 6 + "|",
    ]


def _row(name: str, count: Count) -> str:
    return (
        f"| {name} | {count.wrong:,} | {_share(count.paid, count.wrong)} | {count.equal:,} |"
        f" {_share(count.refused, count.equal)} | {count.unverifiable:,} |"
    )


def _table(what: str, counts: Mapping[str, Count]) -> Iterable[str]:
    worst = sorted(counts.items(), key=lambda item: (-item[1].mistakes, item[0]))
    return [*_header(what), *(_row(name, count) for name, count in worst)]


def _rules(tally: Tally) -> Iterable[str]:
    names = {True: "equal", False: "wrong"}
    worst = sorted(tally.by_rule.items(), key=lambda item: (-item[1].mistakes, item[0]))
    shown = [
        f"| {kind} | {_escaped(rule)} | {names[right]} | {count.wrong + count.equal} |"
        f" {count.paid} | {count.refused} | {count.unverifiable} | {_mostly(count)} |"
        for (kind, rule, right), count in worst
        if count.mistakes
    ]
    clean: dict[str, list[str]] = {}
    for (kind, rule, right), count in tally.by_rule.items():
        if not count.mistakes:
            clean.setdefault(kind, []).append(f"{_escaped(rule)} ({names[right]})")
    return [
        (
            f'{len(shown)} of {len(tally.by_rule)} rules have mistakes. "Equal" rules rewrite an'
            ' answer, "wrong" rules spoil it.'
        ),
        "",
        "| kind | rule | makes | pairs | false positives | false negatives | unverifiable | most"
        " mistakes in |",
        "| --- " * 8 + "|",
        *shown,
        "",
        "Rules without a mistake:",
        "",
        *(f"* {kind}: {', '.join(rules)}" for kind, rules in sorted(clean.items())),
    ]


def _mostly(count: Count) -> str:
    """The two variants with the most mistakes, of a rule with several."""
    worst = [(name, number) for name, number in count.variants.most_common(2) if name and number]
    return ", ".join(f"{_escaped(name)} ({number})" for name, number in worst)


def _escaped(rule: str) -> str:
    return f"`{rule}`" if "\\" in rule or "^" in rule else rule


def _share(part: int, whole: int) -> str:
    return f"{part:,} ({100 * part / whole:.2f}%)" if whole else "none"
