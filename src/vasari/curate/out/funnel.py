"""Counts the rows of a run by stage, source and drop reason, as JSON and as an HTML page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from vasari.core.errors import StateError
from vasari.curate.run.shards import StageFolder
from vasari.curate.stage import FAILED

SCHEMA = 1


def make_funnel(
    name: str, outputs: Sequence[StageFolder], decontamination: Mapping[str, Any]
) -> dict[str, Any]:
    """Collect a curation run's row counts: rows given, kept and dropped by stage and source.

    Raises:
        StateError: A stage did not account for every row that the stage before it kept.
    """
    stages = []
    kept: dict[str, Mapping[str, int]] = {}
    for output in outputs:
        counts = output.counts
        before = kept.get(output.branch, kept.get("both"))
        _accounted(output, before)
        kept[output.branch] = counts["kept"]
        stages.append(
            {
                "name": output.name,
                "branch": output.branch,
                "title": output.title,
                "asks": output.asks,
                **{key: counts[key] for key in ("given", "kept", "dropped", "notes")},
            }
        )
    sources = sorted(outputs[0].counts["given"])
    sets = {branch: dict(kept[branch]) for branch in ("sft", "rl") if branch in kept}
    dead = sum(
        count
        for stage in stages
        for reasons in stage["dropped"].values()
        for reason, count in reasons.items()
        if _is_dead(stage, reason)
    )
    return {
        "schema": SCHEMA,
        "name": name,
        "sources": sources,
        "stages": stages,
        "sets": sets,
        "dead_letters": dead,
        "decontamination": dict(decontamination),
    }


def _accounted(output: StageFolder, before: Mapping[str, int] | None) -> None:
    """Check that each row a stage was given was kept, or dropped with a reason."""
    counts = output.counts
    out = Counter(counts["kept"])
    for source, reasons in counts["dropped"].items():
        out[source] += sum(reasons.values())
    given = Counter(counts["given"])
    if +out != +given or (before is not None and +given != +Counter(before)):
        raise StateError(
            f"stage {output.name!r} ({output.branch}): given {dict(given)}, went on or dropped"
            f" {dict(out)}, the stage before kept"
            f" {dict(before) if before is not None else 'nothing'}; remove the `stages` folder and"
            " run again"
        )


def render(funnel: Mapping[str, Any]) -> str:
    """Render the row counts of a run (its funnel, from `make_funnel`) as an HTML page.

    The same funnel gives the same text, and everything from the data is escaped.
    """
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["count"] = lambda value: f"{value:,}"
    folder = resources.files("vasari.curate.out") / "page"
    template = environment.from_string((folder / "funnel.html.j2").read_text(encoding="utf-8"))
    style = (folder / "funnel.css").read_text(encoding="utf-8")
    everything = _steps(funnel, None)
    sources = [
        {
            "name": name,
            "read": _read(funnel, name),
            "branches": _steps(funnel, name),
            "sets": _sets(funnel, name),
        }
        for name in funnel["sources"]
    ]
    return template.render(
        funnel=funnel,
        style=Markup(style),  # noqa: S704  (our own file)
        branches=everything,
        total=_read(funnel, None),
        sources=sorted(sources, key=lambda source: (-source["read"], source["name"])),
        reasons=_reasons(funnel),
        parts=_parts(funnel),
        notes=[
            stage for stage in funnel["stages"] if stage["notes"] and stage["name"] != "balance"
        ],
    )


def drop_reasons(stage: Mapping[str, Any], source: str | None = None) -> list[tuple[str, int]]:
    """Drop reasons of a stage with their counts, for one source or all, most frequent first."""
    counts: Counter[str] = Counter()
    for name, reasons in stage["dropped"].items():
        if source in (None, name):
            counts.update(reasons)
    return counts.most_common()


def _read(funnel: Mapping[str, Any], source: str | None) -> int:
    return _sum(funnel["stages"][0]["given"], source)


def _sets(funnel: Mapping[str, Any], source: str) -> dict[str, int]:
    return {branch: _sum(counts, source) for branch, counts in funnel["sets"].items()}


def _steps(funnel: Mapping[str, Any], source: str | None) -> list[dict[str, Any]]:
    """Bars of the page: one list for the stages common to both sets, and one for each set."""
    total = max(1, _read(funnel, source))
    found = []
    for branch in ("both", "sft", "rl"):
        steps = []
        for stage in funnel["stages"]:
            if stage["branch"] != branch:
                continue
            given, kept = _sum(stage["given"], source), _sum(stage["kept"], source)
            steps.append(
                {
                    "title": stage["title"],
                    "given": given,
                    "kept": kept,
                    "width": round(100 * kept / total, 2),
                    "lost": round(100 * (given - kept) / total, 2),
                    "reasons": drop_reasons(stage, source),
                }
            )
        if steps:
            found.append({"branch": branch, "steps": steps})
    return found


def _reasons(funnel: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every drop reason with its counts by source, the most frequent reason first."""
    found: dict[tuple[str, str, str, bool], Counter[str]] = {}
    for stage in funnel["stages"]:
        for source, reasons in stage["dropped"].items():
            for reason, count in reasons.items():
                key = stage["branch"], stage["title"], reason, _is_dead(stage, reason)
                found.setdefault(key, Counter())[source] += count
    rows = [
        {
            "branch": branch,
            "stage": stage,
            "reason": reason,
            "dead": dead,
            "total": sum(counts.values()),
            "by_source": [counts.get(source, 0) for source in funnel["sources"]],
        }
        for (branch, stage, reason, dead), counts in found.items()
    ]
    return sorted(rows, key=lambda row: (-row["total"], row["reason"]))


def _is_dead(stage: Mapping[str, Any], reason: str) -> bool:
    """Whether prompts dropped for a reason are those to which no server gave an answer."""
    return bool(stage["asks"]) and reason.endswith(FAILED)


def _parts(funnel: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Target and number of prompts of each part of the RL set, by category."""
    notes: Mapping[str, int] = next(
        (stage["notes"] for stage in funnel["stages"] if stage["name"] == "balance"), {}
    )
    parts = []
    for key, target in notes.items():
        if not key.startswith("target of "):
            continue
        name = key.removeprefix("target of ")
        counts = {
            k.removeprefix(f"{name}: "): n for k, n in notes.items() if k.startswith(f"{name}: ")
        }
        short = {
            k.removeprefix(f"short of {name}: "): n
            for k, n in notes.items()
            if k.startswith(f"short of {name}: ")
        }
        most = max([*counts.values(), 1])
        bars = [
            {
                "name": category,
                "count": count,
                "width": round(100 * count / most, 2),
                "short": short.get(category, 0),
            }
            for category, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        ]
        parts.append(
            {
                "name": name,
                "target": target,
                "has": sum(counts.values()),
                "missing": notes[f"missing in {name}"],
                "bars": bars,
            }
        )
    return parts


def _sum(counts: Mapping[str, int], source: str | None) -> int:
    return sum(counts.values()) if source is None else counts.get(source, 0)
