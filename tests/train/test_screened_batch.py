"""Who is screened for a batch, who gets a whole group, and what fills it, on any number of
processes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.core.errors import ConfigError
from vasari.records import Draw, GroupOutcome
from vasari.sample import (
    PromptSampler,
    TwoStageGate,
    TwoStageSettings,
    UniformSampler,
    make_sampler,
)
from vasari.train.gated_batch import check_sizes
from vasari.train.groups import ScoredGroup
from vasari.train.screened_batch import ScreenedBatch
from vasari.train.settings import GrpoSettings

MIXED, RIGHT, WRONG = [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]


class InOrder(PromptSampler):
    """Names the first prompts of the pool at every draw, as a sampler does that ranks them and has
    learnt nothing new."""

    def due(self, batch):
        return np.zeros(0, dtype=np.int64)

    def metrics(self):
        return {}

    def _draw(self, num_prompts):
        return Draw(np.arange(num_prompts), ("promoted",) * num_prompts)

    def _observe(self, groups):
        pass

    def _state(self):
        return {}

    def _restore(self, state, origin):
        pass


def outcome_of(index, verdicts, batch=None):
    return GroupOutcome(
        index=index, rewards=np.array(verdicts), verdicts=np.array(verdicts), batch=batch
    )


def screened_batch(*, num_prompts=4, num_processes=1, max_generations=4, candidates=1.0, **gate):
    gate = TwoStageGate(TwoStageSettings(num_screening=2, num_rollouts=4, **gate))
    return ScreenedBatch(
        gate,
        num_prompts=num_prompts,
        num_processes=num_processes,
        max_generations=max_generations,
        candidates=candidates,
    )


def offer(batch, draw, verdicts):
    """Screen the drawn prompts with these verdicts; the prompts that were refused."""
    indices = draw.indices.tolist()
    outcomes = [outcome_of(index, own) for index, own in zip(indices, verdicts, strict=True)]
    return [
        group.index
        for group in batch.offer(
            [ScoredGroup(rollouts=(), role=index) for index in indices], outcomes
        )
    ]


def prompts_of(batch, groups):
    return [batch.groups[group].role for group in groups]


def filled(batch):
    return [
        [(batch.groups[slot.group].role, slot.commits) for slot in process]
        for process in batch.slots()
    ]


def test_screening_goes_on_until_enough_prompts_promise_variance():
    batch, sampler = screened_batch(), InOrder(num_prompts=20, seed=0)
    assert offer(batch, batch.draw(sampler, batch=0), [MIXED, RIGHT, MIXED, WRONG]) == [1, 3]
    assert offer(batch, batch.draw(sampler, batch=0), [WRONG, MIXED]) == [4]
    assert offer(batch, batch.draw(sampler, batch=0), [MIXED]) == []
    assert len(batch.draw(sampler, batch=0)) == 0
    assert filled(batch) == [[(0, True), (2, True), (5, True), (6, True)]]
    assert (prompts_of(batch, batch.screened_only()), batch.surplus(), batch.num_generations) == (
        [1, 3, 4],
        [],
        3,
    )


def test_a_batch_asks_for_more_candidates_than_it_lacks_and_takes_the_earliest_drawn():
    batch, sampler = screened_batch(candidates=1.5), InOrder(num_prompts=20, seed=0)
    draw = batch.draw(sampler, batch=0)
    assert draw.indices.tolist() == [0, 1, 2, 3, 4, 5]
    offer(batch, draw, [MIXED, WRONG, MIXED, MIXED, MIXED, MIXED])
    assert len(batch.draw(sampler, batch=0)) == 0
    assert filled(batch) == [[(0, True), (2, True), (3, True), (4, True)]]
    assert (prompts_of(batch, batch.surplus()), prompts_of(batch, batch.screened_only())) == (
        [5],
        [1, 5],
    )


def test_processes_share_the_promising_prompts_whoever_screened_them():
    batch, sampler = screened_batch(num_processes=2), InOrder(num_prompts=20, seed=0)
    offer(batch, batch.draw(sampler, batch=0), [WRONG, WRONG, MIXED, MIXED])
    offer(batch, batch.draw(sampler, batch=0), [MIXED, MIXED])
    assert filled(batch) == [[(2, True), (3, True)], [(4, True), (5, True)]]


def test_refused_screenings_fill_a_batch_when_the_generations_are_spent():
    batch, sampler = screened_batch(max_generations=2), InOrder(num_prompts=20, seed=0)
    offer(batch, batch.draw(sampler, batch=0), [WRONG, MIXED, WRONG, WRONG])
    offer(batch, batch.draw(sampler, batch=0), [RIGHT, MIXED, WRONG])
    assert len(batch.draw(sampler, batch=0)) == 0
    assert filled(batch) == [[(1, True), (5, True), (0, False), (2, False)]]


def test_every_process_rolls_out_equally_many_prompts_further():
    batch, sampler = (
        screened_batch(num_processes=2, max_generations=1),
        InOrder(num_prompts=20, seed=0),
    )
    offer(batch, batch.draw(sampler, batch=0), [MIXED, MIXED, WRONG, MIXED])
    # Three promise variance, and two processes cannot share the third, which fills a place as a
    # refused one does.
    assert filled(batch) == [[(0, True), (2, False)], [(1, True), (3, False)]]
    assert prompts_of(batch, batch.surplus()) == [3]


def test_a_whole_group_that_cannot_train_is_discarded():
    batch, sampler = screened_batch(num_prompts=2), InOrder(num_prompts=20, seed=0)
    offer(batch, batch.draw(sampler, batch=0), [MIXED, MIXED])
    batch.complete(
        ["whole", "lost"], [outcome_of(0, [1, 0, 1, 0]), outcome_of(1, [np.nan, np.nan, np.nan, 1])]
    )
    assert [group.rollouts for group in batch.groups] == ["whole", "lost"]
    assert (batch.discarded(), batch.screened_only()) == ([1], [])


def test_a_deferred_prompt_gives_its_place_to_another():
    batch, sampler = screened_batch(defer_batches=5), InOrder(num_prompts=20, seed=0)
    batch._gate.admit([outcome_of(1, WRONG, batch=2)])
    # Twice as many are asked for, as the sampler would only name 0 to 3 again.
    assert batch.draw(sampler, batch=3).indices.tolist() == [0, 2, 3, 4]


def test_deferred_prompts_are_screened_where_the_pool_has_no_others():
    batch, sampler = screened_batch(defer_batches=5), InOrder(num_prompts=5, seed=0)
    batch._gate.admit([outcome_of(index, WRONG, batch=2) for index in (1, 3, 4)])
    assert batch.draw(sampler, batch=3).indices.tolist() == [0, 2, 1, 3]


def test_a_pool_that_is_screened_ends_screening():
    batch, sampler = screened_batch(num_processes=2), InOrder(num_prompts=7, seed=0)
    offer(batch, batch.draw(sampler, batch=0), [WRONG] * 4)
    # Three are left, and two processes take two of them.
    assert offer(batch, batch.draw(sampler, batch=0), [WRONG] * 2) == [4, 5]
    assert len(batch.draw(sampler, batch=0)) == 0
    assert batch.num_generations == 2


def test_a_draw_with_replacement_may_hold_a_prompt_twice():
    batch = screened_batch(num_prompts=6)
    draw = batch.draw(make_sampler("vas", num_prompts=6, seed=0, preset="paper"), batch=0)
    assert len(draw) == 6
    assert len(set(draw.indices.tolist())) < 6


def test_uniform_passes_lose_no_prompt_while_the_gate_wants_all():
    sampler = UniformSampler(num_prompts=12, seed=0)
    seen = []
    for _ in range(3):
        batch = screened_batch()
        draw = batch.draw(sampler, batch=0)
        seen += draw.indices.tolist()
        offer(batch, draw, [MIXED] * 4)
    assert sorted(seen) == list(range(12))


@given(
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 4),
    st.floats(1, 3),
    st.integers(0, 20),
    st.booleans(),
    st.data(),
)
def test_a_batch_keeps_its_size_and_each_of_its_prompts_one_purpose(
    slots, num_processes, max_generations, candidates, spare, ranks, data
):
    num_prompts = slots * num_processes
    make = InOrder if ranks else UniformSampler
    sampler = make(num_prompts=num_prompts + spare, seed=0)
    batch = screened_batch(
        num_prompts=num_prompts,
        num_processes=num_processes,
        max_generations=max_generations,
        candidates=candidates,
    )
    promising, all_drawn = [], []
    while len(draw := batch.draw(sampler, batch=0)):
        assert len(draw) % num_processes == 0
        verdicts = data.draw(
            st.lists(st.sampled_from([MIXED, RIGHT, WRONG]), min_size=len(draw), max_size=len(draw))
        )
        refused = offer(batch, draw, verdicts)
        promising += [index for index in draw.indices.tolist() if index not in refused]
        all_drawn += draw.indices.tolist()
    assert batch.num_generations <= max_generations
    assert len(set(all_drawn)) == len(all_drawn)
    places = batch.slots()
    going_on = [
        batch.groups[slot.group].role for process in places for slot in process if slot.commits
    ]
    assert [len(process) for process in places] == [slots] * num_processes
    assert len({sum(slot.commits for slot in process) for process in places}) == 1
    assert len({slot.group for process in places for slot in process}) == num_prompts
    # As many go on as there are places for, but for what the processes cannot share evenly.
    assert going_on == promising[: len(going_on)]
    assert 0 <= min(len(promising), num_prompts) - len(going_on) < num_processes
    assert sorted(going_on + prompts_of(batch, batch.screened_only())) == sorted(all_drawn)
    assert sorted(going_on + prompts_of(batch, batch.surplus())) == sorted(promising)


def test_the_gate_makes_groups_of_the_trainers_size():
    gate = GrpoSettings(gate="two_stage", rollouts_per_prompt=16).make_gate()
    check_sizes(gate, num_prompts=4, num_rollouts=16, num_processes=2)
    with pytest.raises(
        ConfigError,
        match=r"groups of 16 rollouts and this training's have 8; make it with num_rollouts=8",
    ):
        check_sizes(gate, num_prompts=4, num_rollouts=8, num_processes=2)
    with pytest.raises(
        ConfigError,
        match=r"TwoStageGate fills each process's share of a batch by itself, and 3 prompts do",
    ):
        check_sizes(gate, num_prompts=3, num_rollouts=16, num_processes=2)


def test_a_recipes_screening_reaches_the_gate():
    screening = {
        "rollouts": 2,
        "low": 0.125,
        "high": 0.75,
        "defer_batches": 3,
        "evict_after": 1,
        "candidates": 3,
    }
    gate = GrpoSettings.model_validate(
        {"gate": "two_stage", "screening": screening, "rollouts_per_prompt": 6}
    ).make_gate()
    assert isinstance(gate, TwoStageGate)
    assert gate.settings == TwoStageSettings(
        num_screening=2, num_rollouts=6, low=0.125, high=0.75, defer_batches=3, evict_after=1
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"screening": {"rollouts": 8}},
            r"screening\.rollouts must be below rollouts_per_prompt.*got 8 and 8",
        ),
        (
            {"screening": {"rollouts": 1}},
            r"screening\n.*rollouts must be a whole number of at least 2",
        ),
        (
            {"screening": {"low": 0.5, "high": 0.25}},
            r"low must be at most high, got 0\.5 and 0\.25",
        ),
        ({"screening": {"candidates": 0.5}}, r"candidates must be at least 1, got 0.5"),
        ({"screening": {"pilots": 4}}, r"screening\.pilots\n.*Unexpected keyword"),
        (
            {"gate": "mixed", "screening": {"rollouts": 2}},
            r"screening is for gate: two_stage, and the gate is mixed",
        ),
    ],
)
def test_impossible_screenings_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        GrpoSettings.model_validate({"gate": "two_stage"} | changes)
