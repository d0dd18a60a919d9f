import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.report.figures import (
    PASS_RATE_BINS,
    difficulty_histogram,
    distinct_snapshots,
    refresh_transitions,
    score_transitions,
    visit_transition,
)
from vasari.report.inputs import Groups, Run, read_snapshots

NAN = float("nan")


def groups(rows) -> Groups:
    """Groups of (batch, prompt, purpose, verdicts)."""
    rates = [np.nanmean(v) if not np.isnan(v).all() else NAN for *_, v in rows]
    return Groups(
        batch=np.array([row[0] for row in rows]),
        index=np.array([row[1] for row in rows]),
        prompt_id=[f"p{row[1]}" for row in rows],
        purpose=np.array([row[2] for row in rows]),
        role=np.array(["uniform"] * len(rows)),
        verdicts=[list(row[3]) for row in rows],
        extractions=[[None] * len(row[3]) for row in rows],
        pass_rate=np.array(rates, dtype=float),
    )


verdict_rows = st.lists(
    st.tuples(st.lists(st.sampled_from([0.0, 1.0]), min_size=2, max_size=8)),
    min_size=1,
    max_size=20,
)


@given(verdict_rows, st.data())
def test_a_transition_counts_every_prompt_seen_twice_once(before, data):
    after = [
        data.draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=2, max_size=8)) for _ in before
    ]
    rows = [(0, i, "refresh", v[0]) for i, v in enumerate(before)] + [
        (7, i, "refresh", v) for i, v in enumerate(after)
    ]
    (move,) = refresh_transitions(groups(rows))
    assert move.num_prompts == len(before)
    assert 0.0 <= move.stayed <= 1.0


def test_pass_rates_move_between_named_bins():
    rows = [
        (0, 0, "train", [0, 0, 0, 0]),
        (3, 0, "train", [1, 1, 0, 0]),
        (1, 1, "train", [1, 1, 1, 0]),
        (5, 1, "train", [1, 1, 1, 1]),
    ]
    move = visit_transition(groups(rows))
    cells = {
        (a, b): int(move.counts[i, j])
        for i, a in enumerate(PASS_RATE_BINS)
        for j, b in enumerate(PASS_RATE_BINS)
    }
    assert {pair: count for pair, count in cells.items() if count} == {
        ("never", "medium"): 1,
        ("easy", "always"): 1,
    }


def test_one_visit_is_no_transition():
    assert visit_transition(groups([(0, 0, "train", [0, 1])])) is None


def test_an_unverifiable_group_is_no_visit():
    assert visit_transition(groups([(0, 0, "train", [0, 1]), (1, 0, "train", [NAN, NAN])])) is None


def test_difficulty_takes_the_refresh_before_the_training_group():
    rows = [(0, 0, "train", [1, 1]), (0, 0, "refresh", [0, 0]), (0, 1, "refresh", [0, 0])]
    svg, _, counted = difficulty_histogram([groups(rows)])
    assert counted == 2
    assert "100% never solved, 0% always" in svg


def test_difficulty_is_compared_on_the_same_number_of_rollouts():
    # Of DynaMath's questions with k of 10 variants right, one variant drawn is right with chance
    # k/10.
    counts = (1906, 671, 521, 467, 387, 411, 356, 354, 361, 422, 1158)
    always = sum(count * k / 10 for k, count in enumerate(counts)) / sum(counts)
    svg, _, _ = difficulty_histogram([groups([(0, 0, "train", [1.0])])])
    assert f"{1 - always:.0%} and {always:.0%}" in svg


def test_without_a_verdict_there_is_no_difficulty():
    assert difficulty_histogram([groups([(0, 0, "train", [NAN, NAN])])]) is None


def test_snapshots_that_repeat_the_one_before_are_left_out():
    scores = np.array([[NAN, NAN], [0.1, 0.2], [0.1, 0.2], [0.3, NAN]])
    kept = distinct_snapshots({"batch": np.array([0.0, 1.0, 2.0, 3.0]), "vps": scores})
    assert kept["batch"].tolist() == [1.0, 3.0]


def test_scores_move_between_equal_bins_and_unknown_ones_are_left_out():
    snapshots = {
        "batch": np.array([0.0, 5.0]),
        "vps": np.array([[0.0, 0.4, 0.1, NAN], [0.4, 0.4, 0.0, 0.2]]),
    }
    (move,) = score_transitions(snapshots, groups([(1, at, "train", [0, 1]) for at in range(4)]))
    assert move.title == "batch 0 → 5"
    assert move.num_prompts == 3
    assert move.counts[0, 3] == 1
    assert move.counts[3, 3] == 1
    assert move.stayed == pytest.approx(1 / 3)
    # One each in the lowest, second and highest bin; then one, none and two.
    assert move.stayed_by_chance == pytest.approx((1 * 1 + 1 * 2) / 9)


def test_a_score_that_nothing_measured_again_is_no_score_that_stayed():
    snapshots = {
        "batch": np.array([2.0, 4.0]),
        "vps": np.array([[0.0, 0.4, 0.1, 0.2], [0.4, 0.4, 0.0, 0.2]]),
    }
    rows = [
        (2, 1, "train", [0, 1]),  # in the first snapshot already
        (3, 0, "train", [0, 1]),
        (4, 2, "refresh", [0, 1]),
        (5, 3, "refresh", [0, 1]),  # after the last one
        (4, 9, "train", [0, 1]),  # not in the pool of the snapshots
        (3, 3, "train", [NAN, NAN]),  # no verdict, so that its score is the old one
    ]
    (move,) = score_transitions(snapshots, groups(rows))
    assert move.num_prompts == 2


@pytest.mark.parametrize(("updates", "steps"), [(1, [1, 3]), (2, [2, 6])])
def test_old_snapshots_are_of_the_batch_before_the_one_that_they_name(updates, steps, tmp_path):
    run = Run(tmp_path, settings={"recipe": {"grpo": {"updates_per_batch": updates}}})
    path = run.place.rl("vas")
    path.mkdir(parents=True)
    stored = {"step": steps, "batch": np.array(steps) // updates, "vps": np.zeros((2, 3))}
    np.savez(path / "scores.npz", **stored)
    assert read_snapshots(run, "vas")["batch"].tolist() == [0, 2]


def test_difficulty_is_of_the_first_batches_of_whichever_arm_saw_a_prompt_first():
    late = [(batch, batch, "train", [1, 1]) for batch in range(1, 400)]
    early = [(0, index, "train", [0, 0]) for index in range(200)]
    svg, _, counted = difficulty_histogram([groups(late), groups(early)])
    assert counted == 200
    assert "100% never solved, 0% always" in svg


def test_refreshes_that_share_no_prompt_are_no_transition():
    rows = [(0, 0, "refresh", [0, 1]), (4, 1, "refresh", [0, 1]), (8, 0, "refresh", [1, 1])]
    assert refresh_transitions(groups(rows)) == []
