"""Write the results of the study as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sample_efficiency.analysis import (
    OURS,
    PoolResult,
    log_loss,
    minutes,
    pool_shape,
    share_of_saving,
    spent_on,
    trained_on,
)
from sample_efficiency.curves import Comparison, Estimate
from sample_efficiency.pools import POOLS
from sample_efficiency.study import Cell
from vasari.run.upgrade import upgrade_recipe


def spell(found: Estimate | None, digits: int = 3, sign: str = "") -> str:
    """Format an estimate with its interval."""
    if found is None or found.value != found.value:
        return "-"
    form = f"{sign}.{digits}f"
    return f"{found.value:{form}} ({found.low:{form}} to {found.high:{form}})"


def percent(share: float | None) -> str:
    """Format a share in percent; a dash for None."""
    return "-" if share is None else f"{100 * share:.0f}%"


def completeness(cells: Sequence[Cell]) -> str:
    """Describe how many cells (training runs) are done and which are missing."""
    missing = [cell.name for cell in cells if not cell.curve_path.exists()]
    if not missing:
        return f"All {len(cells)} cells are done."
    named = "; ".join(missing[:12]) + ("; ..." if len(missing) > 12 else "")
    return (
        f"**Incomplete: {len(cells) - len(missing)} of {len(cells)} cells are done.** Missing:"
        f" {named}."
    )


def pool_section(result: PoolResult, *, arms: Sequence[str], num_seeds: int, figure: str) -> str:
    """Return the Markdown section on one pool, with its tables and figure."""
    headings = (
        "arm",
        "seeds",
        "lr",
        "accuracy at budget",
        "minus uniform",
        "mean over budget, minus uniform",
    )
    headings += (
        "rollouts to uniform's final accuracy / uniform's",
        "tokens, likewise",
        "of the oracle's saving",
    )
    lines = [f"## Pool `{result.pool}`", "", f"![Curves]({figure})", ""]
    lines += [f"| {' | '.join(headings)} |", "| --- " * len(headings) + "|"]
    for arm in arms:
        own = result.curves.get(arm, {})
        found, by_token = (
            result.comparisons["rollouts"].get(arm),
            result.comparisons["tokens"].get(arm),
        )
        if found is None:
            lines.append(
                f"| {arm} | {len(own)} of {num_seeds} | "
                + " | ".join(["not run" if not own else "unpaired"] * 7)
                + " |"
            )
            continue
        rates = ", ".join(
            f"{rate:g}" for rate in sorted({c.cell["learning_rate"] for c in own.values()})
        )
        seeds = (
            str(num_seeds)
            if len(found.seeds) == num_seeds
            else f"**{len(found.seeds)} of {num_seeds}**"
        )
        cells = [arm, seeds, rates, spell(found.final), spell(found.final_difference, sign="+")]
        cells += [spell(found.mean_difference, sign="+"), _ratio(found), _ratio(by_token)]
        lines.append(f"| {' | '.join([*cells, percent(share_of_saving(result, arm))])} |")
    headings = (
        "arm",
        "seeds that reached their uniform's final accuracy",
        "restricted mean, of the budget",
    )
    headings += (
        "refresh",
        "discarded",
        "coin flips",
        "wrong labels",
        "no variance",
        "log loss of the belief",
        "median min a cell",
    )
    lines += ["", f"| {' | '.join(headings)} |", "| --- " * len(headings) + "|"]
    lines += [_mechanics(result, arm) for arm in arms if result.curves.get(arm)]
    return "\n".join([*lines, *_ours(result, arms), "", _described(result)])


def _ratio(found: Comparison | None) -> str:
    if found is None:
        return "-"
    return (
        spell(found.ratio, 2)
        if found.reached
        else f"not reached (at least {found.ratio.value:.2f})"
    )


def _mechanics(result: PoolResult, arm: str) -> str:
    own, found = result.curves[arm], result.comparisons["rollouts"].get(arm)
    everything = slice(None)
    loss = log_loss(own)
    cells = [
        arm,
        percent(found.reached_share if found else None),
        percent(found.restricted_mean if found else None),
    ]
    cells += [percent(spent_on(own, "refresh")), percent(spent_on(own, "discarded"))]
    cells += [
        percent(trained_on(own, kind, part=everything))
        for kind in ("coin_flip", "wrong_label", "zero_variance")
    ]
    cells.append("-" if loss is None else f"{loss:.3f}")
    return f"| {' | '.join([*cells, f'{minutes(own):.1f}'])} |"


def _ours(result: PoolResult, arms: Sequence[str]) -> list[str]:
    """Return table rows that compare `progress` with every other arm; empty if it was not run."""
    headings = (f"`{OURS}` beside", "accuracy at budget, minus its", "mean over budget, minus its")
    headings += ("rollouts to its final accuracy / its",)
    rows = [(arm, result.ours[arm]) for arm in arms if arm in result.ours and arm != "uniform"]
    lines = ["", f"| {' | '.join(headings)} |", "| --- " * len(headings) + "|"]
    for arm, found in rows:
        cells = [
            arm,
            spell(found.final_difference, sign="+"),
            spell(found.mean_difference, sign="+"),
            _ratio(found),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines if rows else []


def _described(result: PoolResult) -> str:
    shares = POOLS[result.pool]
    spoiled = (
        ", ".join(f"{100 * share:.0f}% {kind.replace('_', ' ')}" for kind, share in shares.items())
        or "no imperfections"
    )
    shape = pool_shape(result)
    text = f"Pool: {spoiled}."
    if shape is not None:
        text += (
            f" The cold start never solves {percent(shape['never'])} of its sound prompts and"
            f" always {percent(shape['always'])} (mean pass rate {shape['mean']:.2f}; distance from"
            f" DynaMath's pass rates {shape['distance_to_dynamath']:.2f})."
        )
    return text


def method(
    task: Mapping[str, Any],
    *,
    tuned: Mapping[str, Any],
    rates: Mapping[str, str],
    commits: Sequence[str],
) -> str:
    """Describe how the study was measured, from the task settings of any cell (training run)."""
    recipe = upgrade_recipe(task["recipe"])
    tasks, grpo = recipe["prompts"]["tasks"], recipe["grpo"]
    per_batch = grpo["prompts_per_batch"] * grpo["rollouts_per_prompt"]
    sources = "; ".join(f"{source}: {arms}" for source, arms in rates.items())
    tuning = (
        f"on seeds {tuned['seeds']}, other held-out prompts, {tuned['budget']:,} rollouts, by"
        f" {tuned['criterion']}"
        if tuned
        else "nothing was tuned"
    )
    lines = [
        (
            f"Pools of {tasks['num_train']} prompts, drawn anew for every seed from a stock that"
            " the cold start graded with ten rollouts each, so that pass rates are distributed as"
            f" DynaMath's (27% never, 17% always solved): {', '.join(tasks['families'])}, taught"
            " with and without slips, and families that were never taught. All arms of a seed"
            f" share pool, cold start and random numbers. GRPO of {grpo['prompts_per_batch']}"
            f" prompts x {grpo['rollouts_per_prompt']} rollouts a batch"
            f" ({grpo['updates_per_batch']} update(s) each), temperature"
            f" {grpo['trl']['temperature']:g}, at most {grpo['trl']['max_completion_length']}"
            f" tokens; budget {task['budget']:,} rollouts of all purposes"
            f" ({task['budget'] // per_batch} batches of uniform)."
        ),
        (
            f"Accuracy: {task['num_prompts_measured']} clean held-out prompts of the same shape,"
            f" the same for all, {task['num_rollouts_measured']} rollouts each as in training, not"
            f" charged, before training and at {task['num_marks']} marks of the budget."
        ),
        (
            "Intervals: 95%, bootstrap over seeds and held-out prompts together, paired with"
            " uniform by both. Uniform's final accuracy is that of its smoothed (isotonic) mean"
            " curve, and so is the moment when another arm reaches it; an arm that does not is"
            " given the whole budget, which makes its ratio a lower bound."
        ),
        (
            f"The oracle measures the pass rates of all sound prompts every {task['oracle_every']}"
            f" batches by {task['oracle_rollouts']} rollouts each that are not charged, knows coin"
            " flips and wrong labels, and draws by them as `progress` draws by its belief."
            " `vas-free` does not pay for its refreshes. Both are bounds, not strategies."
        ),
        f"Learning rates ({tuning}): {sources}.",
        f"Cold start {task['fingerprint'][:12]}. Code: {', '.join(commits)}.",
    ]
    return "\n\n".join(lines)
