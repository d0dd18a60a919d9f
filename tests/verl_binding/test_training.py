"""verl's own `fit` with our trainer: what is drawn, what is observed, and what is charged."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import scenario

pytestmark = pytest.mark.slow


def test_every_training_ended_by_itself(runs):
    assert {name: run.problem for name, run in runs.items() if run.problem} == {}


@pytest.mark.parametrize("name", scenario.SAMPLERS)
def test_verl_s_binding_draws_what_the_bare_contract_draws(runs, name):
    assert runs[name].drawn() == scenario.recorded_draws(name)


def test_rollouts_are_charged_by_purpose(runs):
    last = runs["vas"].log[-1]
    rolled_out = Counter()
    for row in runs["vas"].rolled_out:
        rolled_out["refresh" if row["rollouts"] == 8 else "train"] += row["rollouts"]
    # The whole pool before batches 0, 4 and 8, eight rollouts of each prompt.
    assert rolled_out == {"refresh": 3 * 24 * 8, "train": 10 * 4 * 4}
    assert {purpose: last[f"ledger/rollouts/{purpose}"] for purpose in rolled_out} == rolled_out
    tokens = Counter()
    for group in runs["vas"].groups():
        tokens[group["purpose"]] += sum(group["num_tokens"])
    assert {name: last[f"ledger/tokens/{name}"] for name in tokens} == tokens
    assert last["sampler/groups_observed"] == 3 * 24


def test_refreshed_prompts_do_not_train(runs):
    assert [len(update) for update in runs["vas"].advantages] == [16] * 10


@pytest.mark.parametrize("name", ["filtered", "filtered_once", "filtered_early", "vas"])
def test_every_group_that_was_rolled_out_is_observed_once(runs, name):
    rolled_out = Counter((row["step"] - 1, row["place"]) for row in runs[name].rolled_out)
    observed = Counter((group["batch"], group["prompt_index"]) for group in runs[name].groups())
    assert observed == rolled_out
    assert sum(
        value for key, value in runs[name].log[-1].items() if key.startswith("ledger/rollouts/")
    ) == sum(row["rollouts"] for row in runs[name].rolled_out)


def expected_with_filtering(name: str, num_batches: int) -> list[list[int]]:
    """The draws of verl's dynamic filtering by the bare contract: a silent group is evicted, and two
    prompts are drawn for it, as far as a batch is not exceeded."""
    chooser, script, drawn = scenario.sampler(name), scenario.Script(), []
    for batch in range(num_batches):
        chooser.due(batch)
        places, kept, credit, num = [], 0, 0, scenario.PROMPTS_A_BATCH
        while kept < scenario.PROMPTS_A_BATCH:
            new = chooser.draw(num).indices.tolist()
            groups = [
                scenario.outcome(
                    place,
                    script.group(place, scenario.ROLLOUTS_A_PROMPT),
                    purpose="train",
                    batch=batch,
                )
                for place in new
            ]
            chooser.observe(groups)
            places += new
            # To verl an unverifiable rollout has a score of 0.
            silent = sum(len(set(np.nan_to_num(group.rewards))) == 1 for group in groups)
            kept += len(new) - silent
            credit += 2 * silent
            num = min(credit, scenario.PROMPTS_A_BATCH)
            credit -= num
        drawn.append(places)
    return drawn


def test_with_filtering_the_sampler_learns_from_evicted_groups_before_the_next_draw(runs):
    assert runs["filtered"].drawn() == expected_with_filtering(
        "weighted_passes", scenario.NUM_BATCHES
    )


def test_what_is_evicted_or_left_over_does_not_train_and_is_charged_as_discarded(runs):
    groups, log = runs["filtered"].groups(), runs["filtered"].log
    for batch, update in enumerate(runs["filtered"].advantages):
        own = [group for group in groups if group["batch"] == batch]
        trained = [group for group in own if group["purpose"] == "train"]
        assert len(trained) == scenario.PROMPTS_A_BATCH
        assert len(update) == scenario.PROMPTS_A_BATCH * scenario.ROLLOUTS_A_PROMPT
        silent = [g for g in own if len(set(np.nan_to_num(g["rewards"]))) == 1]
        assert all(group["purpose"] == "discarded" for group in silent)
        evicted = log[batch].get("training/filter_groups/evicted_samples", 0)
        left_over = log[batch].get("training/filter_groups/discarded_surplus_samples", 0)
        assert evicted == len(silent)
        assert evicted + left_over == len(own) - len(trained)
    discarded = sum(group["purpose"] == "discarded" for group in groups)
    assert log[-1]["ledger/rollouts/discarded"] == discarded * scenario.ROLLOUTS_A_PROMPT


def test_of_more_groups_than_a_batch_has_the_first_drawn_train(runs):
    for batch in range(scenario.NUM_BATCHES):
        own = [group for group in runs["filtered"].groups() if group["batch"] == batch]
        mixed = [g["purpose"] for g in own if len(set(np.nan_to_num(g["rewards"]))) > 1]
        assert mixed == ["train"] * 4 + ["discarded"] * (len(mixed) - 4)


def test_after_the_last_draw_silent_groups_fill_the_batch(runs):
    run = runs["filtered_once"]
    assert run.drawn() == scenario.recorded_draws("uniform")
    assert {row["vasari/generations"] for row in run.log} == {1.0}
    assert {group["purpose"] for group in run.groups()} == {"train"}


def test_refilling_early_still_fills_every_batch(runs):
    run = runs["filtered_early"]
    trained = Counter(g["batch"] for g in run.groups() if g["purpose"] == "train")
    assert trained == dict.fromkeys(range(scenario.NUM_BATCHES), scenario.PROMPTS_A_BATCH)


def grpo(rewards: list[float]) -> list[float]:
    """GRPO's advantages, as the paper has them: less the mean, by the sample deviation."""
    found = np.array(rewards)
    return ((found - found.mean()) / (found.std(ddof=1) + 1e-6)).tolist()


def advantages_of(run, batch: int) -> dict[int, list[float]]:
    """The advantages of each prompt's rollouts, in the order of verl's sessions."""
    by_uid: dict[str, list[float]] = {}
    update = run.advantages[batch]
    for key in sorted(update):
        assert len(set(update[key])) == 1
        by_uid.setdefault(key.split("_")[0], []).append(update[key][0])
    return by_uid


def test_unverifiable_rollouts_have_no_advantage_and_leave_the_baseline(runs):
    run = runs["unsure"]
    partly = 0
    for batch in range(scenario.NUM_BATCHES):
        own = [group for group in run.groups() if group["batch"] == batch]
        expected = []
        for group in own:
            rewards = np.array(group["rewards"], dtype=float)
            known = ~np.isnan(rewards)
            np.testing.assert_array_equal(np.isnan(np.array(group["verdicts"], float)), ~known)
            assert [text.startswith("and") for text in group["texts"]] == (~known).tolist() or (
                group["prompt_index"] == scenario.UNVERIFIABLE
            )
            found = np.zeros(len(rewards))
            if known.sum() > 1:
                found[known] = grpo(rewards[known].tolist())
            partly += 0 < known.sum() < len(rewards)
            expected.append(tuple(found.round(4)))
        found = [tuple(np.round(a, 4)) for a in advantages_of(run, batch).values()]
        assert sorted(found) == sorted(expected)
    assert partly > 0


def test_what_verl_writes_beside_advantages_no_rollout_lacks(runs):
    run = runs["corrected"]
    for batch in range(scenario.NUM_BATCHES):
        one, other = (advantages_of(runs[name], batch).values() for name in ("corrected", "unsure"))
        assert sorted(one) == sorted(other)
    assert len(run.fields) == scenario.NUM_BATCHES
    assert all("rollout_is_weights" in names for names in run.fields)
    assert not any("rollout_is_weights" in names for names in runs["unsure"].fields)


def test_a_number_that_is_none_is_neither_correct_nor_wrong(runs):
    run = runs["number"]
    rollouts = [
        (text, verdict, reward)
        for group in run.groups()
        for text, verdict, reward in zip(
            group["texts"], group["verdicts"], group["rewards"], strict=True
        )
    ]
    begin = np.array([text.startswith("and") for text, *_ in rollouts])
    numbers = np.array([numbers for _, *numbers in rollouts], float)
    assert 0 < begin.sum() < len(begin)
    assert np.isnan(numbers[begin]).all()
    assert (numbers[~begin, 0] == 0.0).all()
    np.testing.assert_allclose(
        numbers[~begin, 1], [0.001 * len(text) for text, *_ in rollouts if text[:3] != "and"]
    )
    for update in run.advantages:
        assert np.isfinite([own for tokens in update.values() for own in tokens]).all()


def test_numbers_none_of_which_reads_as_correct_are_told_once(runs):
    assert runs["number"].output.count("read as incorrect, since 0.5 or more is correct") == 1


def test_the_verdict_may_be_a_field_of_the_reward_function(runs):
    for group in runs["good"].groups():
        for text, verdict, reward in zip(
            group["texts"], group["verdicts"], group["rewards"], strict=True
        ):
            if text.startswith("and"):
                assert np.isnan(np.array([verdict, reward], float)).all()
            else:
                # It says the opposite of what the score says, and the score is what trains.
                assert verdict == 1.0 - reward or group["prompt_index"] == scenario.UNVERIFIABLE


def test_confidence_is_the_least_log_probability_of_a_rollout(runs):
    for group in runs["confident"].groups():
        least = [-0.01 * num * num for num in group["num_tokens"]]
        np.testing.assert_allclose(group["confidence"], least, rtol=1e-6)
    with_it = [row["sampler/coherence_in_batch"] for row in runs["confident"].log]
    assert any(np.isfinite(value) for value in with_it if value is not None)


def test_the_log_says_what_was_drawn(runs):
    for name in scenario.SAMPLERS:
        for step, row in enumerate(runs[name].log, start=1):
            assert row["step"] == step
            assert row["vasari/batch"] == step - 1
            own = [g for g in runs[name].groups() if g["batch"] == step - 1]
            own = [g for g in own if g["purpose"] != "refresh"]
            silent = [
                np.nanmax(r) - np.nanmin(r) == 0 if not np.isnan(r).all() else True
                for r in (np.array(g["rewards"], float) for g in own)
            ]
            assert row["vasari/zero_variance_share"] == np.mean(silent)


def test_validation_shows_the_sampler_nothing(runs):
    run = runs["confident"]
    validated = [row for row in run.log if any(key.startswith("val-core/") for key in row)]
    assert [row["step"] for row in validated] == [5, 10]
    for row in validated:
        assert 0 < row["val-core/sums/acc/mean@1"] < 1
        assert row["val-aux/sums/unverifiable/mean@1"] == pytest.approx(1 / 24)
    assert len(run.groups()) == scenario.NUM_BATCHES * scenario.PROMPTS_A_BATCH


def test_a_rollout_that_fails_is_not_a_wrong_one(runs):
    run = runs["failing"]
    sizes = {group["prompt_index"]: len(group["rewards"]) for group in run.groups()}
    assert sizes[2] == 3
    # Of a group that failed as a whole nothing is known, and verl draws another prompt for it.
    assert 5 not in sizes
    assert any(row["place"] == 5 for row in run.rolled_out)
    assert all(len(batch) == scenario.PROMPTS_A_BATCH for batch in run.drawn())
    charged = sum(len(group["rewards"]) for group in run.groups())
    assert run.log[-1]["ledger/rollouts/train"] == charged
