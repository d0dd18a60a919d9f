"""The data card of a curated set: contents, licences, origin, and how it was made."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pyarrow.parquet as pq
import yaml

from vasari.core.markdown import fenced, plain
from vasari.curate.out.funnel import drop_reasons
from vasari.curate.recipe import CurationRecipe
from vasari.curate.run.shards import StageFolder

_COLUMNS = ("source", "domain", "category", "difficulty", "licence")


def set_counts(output: StageFolder) -> dict[str, dict[str, int]]:
    """Count a curated set's prompts by source, domain, category, difficulty and licence."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in _COLUMNS}
    for path in output.parts:
        table = pq.read_table(path, columns=list(_COLUMNS))
        for name in _COLUMNS:
            for value in table.column(name).value_counts().to_pylist():
                counts[name][value["values"] or ""] += value["counts"]
    return {
        name: dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))
        for name, found in counts.items()
    }


def make_card(
    recipe: CurationRecipe,
    funnel: Mapping[str, Any],
    sets: Mapping[str, Mapping[str, Mapping[str, int]]],
) -> str:
    """Build the data card in Markdown, with the YAML header that the Hugging Face hub reads.

    Text from the data is escaped.
    """
    configs = [
        {"config_name": name, "data_files": f"{name}.parquet"}
        for name, counts in sets.items()
        if _size(counts)
    ]
    header = {
        "license": "other",
        "task_categories": ["visual-question-answering"],
        "configs": configs,
    }
    lines = [
        "---",
        yaml.safe_dump(header, sort_keys=False).rstrip(),
        "---",
        "",
        f"# {plain(recipe.name)}",
        "",
    ]
    total = sum(funnel["stages"][0]["given"].values())
    made = ", ".join(f"{_size(counts):,} in `{name}.parquet`" for name, counts in sets.items())
    lines += [
        f"Made by `vasari curate` from {total:,} rows of {len(funnel['sources'])} sources: {made}.",
        "",
    ]
    lines += [*_contamination(funnel["decontamination"]), ""]
    for name, counts in sets.items():
        lines += [f"## {name}.parquet", ""]
        for column in _COLUMNS:
            lines += _table(column, counts[column])
    lines += [
        "## Licences",
        "",
        (
            "Each prompt keeps the licence of its source, in `metadata`. Obey them; this card gives"
            " no other."
        ),
        "",
    ]
    lines += ["## Where the rows went", "", *_funnel_table(funnel), ""]
    lines += ["## How it was made", "", *fenced(_shown_recipe(recipe), "json"), ""]
    lines += [
        (
            "`funnel.html` shows every source, `dropped.parquet` every dropped row with its reason,"
            " `manifest.json` all hashes."
        ),
        "",
    ]
    return "\n".join(lines)


def _contamination(facts: Mapping[str, Any]) -> list[str]:
    if not facts["compared"]:
        claim = "Scores on public benchmarks of models trained on this data prove nothing."
        return [f"> **Not decontaminated**: {facts['why']}. {claim}"]
    alone = {
        name: f", {count:,} of them by text alone" for name, count in facts["text_only"].items()
    }
    names = ", ".join(
        f"{plain(name)} ({count:,} prompts{alone.get(name, '')})"
        for name, count in facts["benchmarks"].items()
    )
    lines = [f"Compared with {names} by figure and text; {facts['removed']:,} rows were removed."]
    if facts["unread"]:
        rows = ", ".join(f"{count:,} of {plain(name)}" for name, count in facts["unread"].items())
        lines.append(f"> **Not compared**, since they could not be read: {rows}.")
    return lines


def _table(column: str, counts: Mapping[str, int], most: int = 40) -> list[str]:
    if set(counts) <= {""}:
        return []
    shown = list(counts.items())[:most]
    rest = sum(counts.values()) - sum(count for _, count in shown)
    rows = [f"| {plain(name) or '(none)'} | {count:,} |" for name, count in shown]
    rows += [f"| {len(counts) - most} others | {rest:,} |"] if rest else []
    return [f"| {column} | prompts |", "| --- | ---: |", *rows, ""]


def _funnel_table(funnel: Mapping[str, Any]) -> list[str]:
    lines = ["| stage | set | given | kept | dropped |", "| --- | --- | ---: | ---: | --- |"]
    for stage in funnel["stages"]:
        why = ", ".join(
            f"{plain(reason.replace('_', ' '))} {count:,}" for reason, count in drop_reasons(stage)
        )
        given, kept = sum(stage["given"].values()), sum(stage["kept"].values())
        lines.append(f"| {stage['title']} | {stage['branch']} | {given:,} | {kept:,} | {why} |")
    return lines


def _shown_recipe(recipe: CurationRecipe) -> str:
    """The recipe without this machine's folders and addresses, as JSON."""
    content = recipe.model_dump(mode="json", exclude_defaults=True)
    for entry in [
        *content.get("sources", []),
        *(content.get("decontaminate") or {}).get("benchmarks", []),
    ]:
        entry.pop("folder", None)
    for model in content.get("models", {}).values():
        model.get("endpoint", {}).pop("base_url", None)
    content.get("judge", {}).get("endpoint", {}).pop("base_url", None)
    content.pop("responses", None)
    return json.dumps(content, indent=1, ensure_ascii=False)


def _size(counts: Mapping[str, Mapping[str, int]]) -> int:
    return sum(counts["source"].values())
