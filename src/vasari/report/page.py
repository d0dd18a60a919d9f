"""Write a run's HTML page, `RUN/report.html`, self-contained and without scripts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

import jinja2
from markupsafe import Markup

from vasari.core.files import write_bytes
from vasari.core.records import PURPOSES, Prompt
from vasari.report.curves import cold_start_curve, learning_curves, short_count
from vasari.report.examples import pick_examples, planted, probable_wrong_labels, suspect_cards
from vasari.report.figures import (
    difficulty_histogram,
    distinct_snapshots,
    drawn_shares,
    refresh_transitions,
    score_histograms,
    score_transitions,
    visit_transition,
    visits,
)
from vasari.report.inputs import (
    Groups,
    Run,
    dig,
    known_sum,
    number,
    read_arm_groups,
    read_pool,
    read_run,
    read_snapshots,
    shown,
)
from vasari.report.plot import SERIES
from vasari.report.reward_terms import read_reward_terms
from vasari.report.summary import best_is_the_start, few_prompts, shrunk_from, summarise
from vasari.report.tables import (
    PURPOSE_WORDS,
    accuracy_blocks,
    essentials,
    family_by_level,
    model_name,
    models_of,
    plain,
    side_facts,
    spending,
    spent_words,
    stage_rows,
)
from vasari.report.taught import taught_blocks

P = ParamSpec("P")

_LABELS = (
    ("family", "family", lambda prompt: prompt.category),
    ("level", "level", lambda prompt: prompt.difficulty),
    ("imperfection", "imperfection planted on purpose", lambda prompt: planted(prompt) or "sound"),
)


def write_report(root: Path) -> Path:
    """Write a run's HTML page `RUN/report.html` and return its path; the run may be unfinished.

    Raises:
        DataError: There is no such run folder.
        StorageError: The disk refused.
    """
    run = read_run(root)
    page = render(run)
    write_bytes(run.place.report, page.encode("utf-8", "replace"))
    return run.place.report


def render(run: Run) -> str:
    """Return the HTML text of a run's page; the same run gives the same text."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "percent": _percent,
        "points": _points,
        "count": _count,
        "short": _or_dash(short_count),
        "duration": _duration,
        "memory": _memory,
        "model": model_name,
    }
    here = Path(__file__)
    style = here.with_name("page.css").read_text(encoding="utf-8")
    template = environment.from_string(here.with_name("page.html.j2").read_text(encoding="utf-8"))
    return template.render(_content(run), style=Markup(style))  # noqa: S704 - our own file


def _content(run: Run) -> dict[str, Any]:
    """Return the values that the page's template shows."""
    terms = read_reward_terms(run)
    found = summarise(run, terms)
    final = found["final_arm"]
    order = [name for name in run.arm_names if name == final] + [
        name for name in run.arm_names if name != final
    ]
    pool, test = read_pool(run, "train"), read_pool(run, "test")
    groups = [
        (place, name, read)
        for place, name in enumerate(order)
        if (read := read_arm_groups(run, name)) is not None
    ]
    models = models_of(run, order)
    before = "cold_start" if run.evaluation.get("cold_start") else "base"
    content = {
        "name": shown(found["name"] or run.root.resolve().name, 80),
        "started": shown(found["started"] or "", 40).replace("T", " ").removesuffix("+00:00"),
        "summary": found,
        "before": before,
        "stayed": best_is_the_start(run, final),
        "few": few_prompts(found),
        "trial": shown(shrunk_from(run) or "", 80),
        "final": final,
        "order": order,
        "num_series": len(SERIES),
        "models": models,
        "decoding": _decoding(found["decoding"]),
        "version": shown(found["versions"]["vasari"], 40)
        if dig(found, "versions", "vasari")
        else "",
        "charged": known_sum(found["rollouts"].values()),
        "charged_uniform": known_sum((dig(found, "by_arm", "uniform", "rollouts") or {}).values()),
        "seconds": known_sum(found["wall_seconds"].values()),
        "purposes": PURPOSES,
        "purpose_words": PURPOSE_WORDS,
        "spent": spent_words(found["rollouts"], between=" \u00b7 "),
        "essentials": essentials(run),
        "recipe": shown(json.dumps(run.recipe, indent=1, ensure_ascii=False), 20_000)
        if run.recipe
        else "",
        "stages": stage_rows(run),
        "accuracy_blocks": [*taught_blocks(found, models), *accuracy_blocks(run, models)],
        "side_facts": side_facts(run, models),
        "grid": family_by_level(run, before, final),
        "curves": learning_curves(run, order, terms),
        "cold_start_loss": cold_start_curve(run),
        "spending": spending(run, order),
        "examples": pick_examples(run, test, before=before, after=final),
        **_pool_content(run, pool, groups, final),
    }
    return content | {
        "missing": _missing(run, content),
        "problems": [shown(problem, 400) for problem in run.problems],
    }


def _pool_content(
    run: Run, pool: Sequence[Prompt], groups: Sequence[tuple[int, str, Groups]], final: str | None
) -> dict[str, Any]:
    """Return the page's values on the training pool: scores, prompts drawn, suspect labels."""
    snapshots = distinct_snapshots(read_snapshots(run, final)) if final else {}
    own = next((found for _, name, found in groups if name == final), None)
    visited = [
        (name, last) for _, name, found in groups if (last := visit_transition(found)) is not None
    ]
    suspects = probable_wrong_labels([found for _, _, found in groups])
    by_id = {prompt.id: prompt for prompt in pool}
    marks = [planted(by_id.get(suspect.prompt_id)) for suspect in suspects]
    return {
        "difficulty": difficulty_histogram([found for _, _, found in groups]),
        "scores": score_histograms(snapshots),
        "score_moves": score_transitions(snapshots, own) if own is not None else [],
        "refresh_moves": refresh_transitions(own) if own is not None else [],
        "visit_moves": visited,
        "drawn": _drawn(pool, groups),
        "visits": [(name, visits(found, len(pool))) for _, name, found in groups],
        "suspects": suspect_cards(suspects, by_id),
        "num_suspects": len(suspects),
        "num_suspects_planted": marks.count("wrong_label"),
        "num_planted": sum(planted(prompt) == "wrong_label" for prompt in pool),
        "has_groups": bool(groups),
    }


def _drawn(
    pool: Sequence[Prompt], groups: Sequence[tuple[int, str, Groups]]
) -> list[tuple[str, Any]]:
    if not pool or not groups:
        return []
    pictures = [
        (
            title,
            drawn_shares(
                pool, groups, {prompt.id: label(prompt) for prompt in pool}, name=name, title=title
            ),
        )
        for name, title, label in _LABELS
    ]
    return [(title, picture) for title, picture in pictures if picture is not None]


def _decoding(settings: Any) -> str:
    """Return a sentence on how rollouts were sampled, to show with accuracies; "" if not known."""
    words = (
        ("num_rollouts", "{} rollouts a prompt"),
        ("temperature", "temperature {}"),
        ("top_p", "top-p {}"),
        ("max_tokens", "at most {} tokens"),
    )
    said = [
        text.format(plain(dig(settings, key)))
        for key, text in words
        if dig(settings, key) is not None
    ]
    return f"Sampled: {', '.join(said)}." if said else ""


def _missing(run: Run, content: Mapping[str, Any]) -> list[str]:
    """Describe in words what the run lacks, or lacks so far."""
    trained = [name for name in run.arms if not run.arms[name].metrics]
    # A recipe without such a section never makes them.
    cold, rewarded = (
        not run.recipe or run.recipe.get(section) is not None for section in ("sft", "grpo")
    )
    parts = [
        (not run.settings, "settings.json: the recipe, seed and versions"),
        (not run.stages, "stage files: times and memory"),
        (not (run.place.prompts / "train.parquet").is_file(), "the training pool"),
        (cold and not run.cold_start, "the log of a cold start"),
        (rewarded and not run.arms, "reinforcement training"),
        (bool(trained), f"logged steps of {', '.join(shown(name, 40) for name in trained)}"),
        (bool(run.arms) and not content["has_groups"], "groups of reinforcement training"),
        (cold and "cold_start" not in run.evaluation, "an evaluation of the cold start"),
        (
            rewarded and (content["final"] is None or content["final"] not in run.evaluation),
            "an evaluation of the final model",
        ),
        (not content["examples"], "stored rollouts of an evaluation"),
    ]
    return [text for absent, text in parts if absent]


def _or_dash(words: Callable[Concatenate[float, P], str]) -> Callable[Concatenate[Any, P], str]:
    """Return a filter that shows a dash for anything but a finite number."""

    def filtered(value: Any, /, *args: P.args, **settings: P.kwargs) -> str:
        found = number(value)
        return "\u2013" if found is None else words(found, *args, **settings)

    return filtered


@_or_dash
def _percent(value: float, digits: int = 1) -> str:
    return f"{100 * value:.{digits}f}"


@_or_dash
def _points(value: float) -> str:
    """Return a difference of shares in percentage points, with its sign."""
    return f"{100 * value:+.1f}".replace("-", "\u2212")


@_or_dash
def _count(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == round(value) else f"{value:.1f}"


@_or_dash
def _duration(value: float) -> str:
    minutes, seconds = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    if minutes:
        return f"{minutes} min {seconds} s"
    return f"{value:.1f} s" if value < 10 else f"{seconds} s"


@_or_dash
def _memory(value: float) -> str:
    return f"{value / 1024:.1f} GiB" if value >= 1024 else f"{value:.0f} MiB"
