"""Which groups of a batch train, on any number of processes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.core.errors import ConfigError
from vasari.records import Admission
from vasari.sample import AllGate, Gate, MixedGate, make_sampler
from vasari.train.gated_batch import GatedBatch, check_sizes

MIXED, SILENT = [1.0, 0.0], [0.0, 0.0]


@pytest.fixture(scope="session")
def offer(group_of):
    """Offers groups of the prompts start, start + 1, ... with these rewards; how many prompts are
    to be drawn then."""

    def generation(batch, start, rewards):
        groups = [group_of(start + place, own) for place, own in enumerate(rewards)]
        outcomes = [group.outcome(0) for group in groups]
        assert batch.offer(groups, outcomes) == outcomes  # the sampler observes all of them
        return lacking(batch)

    return generation


def lacking(batch):
    return len(batch.draw(make_sampler("uniform", num_prompts=100, seed=0), batch=0))


def index_of(group):
    return group.rollouts[0].index


def trained(batch):
    """Prompts whose group trains."""
    return [
        index_of(group)
        for place, group in enumerate(batch.groups)
        if place not in batch.discarded()
    ]


def discarded(batch):
    return [index_of(batch.groups[place]) for place in batch.discarded()]


def gated(gate=None, *, num_prompts=4, num_processes=1, max_generations=4):
    return GatedBatch(
        gate or MixedGate(),
        num_prompts=num_prompts,
        num_processes=num_processes,
        max_generations=max_generations,
    )


def test_a_batch_begins_by_drawing_all_its_prompts():
    assert lacking(gated()) == 4


def test_a_batch_of_admitted_groups_is_complete_at_once(offer):
    batch = gated()
    assert offer(batch, 0, [MIXED] * 4) == 0
    assert (trained(batch), discarded(batch), batch.filled()) == ([0, 1, 2, 3], [], [[0, 1, 2, 3]])


def test_a_refused_group_is_replaced_by_a_later_one(offer):
    batch = gated()
    assert offer(batch, 0, [MIXED, SILENT, MIXED, SILENT]) == 2
    assert offer(batch, 10, [SILENT, MIXED]) == 1
    assert offer(batch, 20, [MIXED]) == 0
    # Counted through the generations, 10 is group 4, 11 is group 5 and 20 is group 6.
    assert batch.filled() == [[0, 2, 5, 6]]
    assert (trained(batch), discarded(batch)) == ([0, 2, 11, 20], [1, 3, 10])


def test_refused_groups_fill_a_batch_when_the_generations_are_spent(offer):
    batch = gated(max_generations=2)
    assert offer(batch, 0, [SILENT, SILENT, MIXED, SILENT]) == 3
    assert offer(batch, 10, [SILENT, MIXED, SILENT]) == 0
    assert batch.filled() == [[0, 1, 2, 5]]
    assert (trained(batch), discarded(batch)) == ([2, 11], [0, 1, 3, 10, 12])


def test_each_process_fills_its_own_slots_and_drops_what_is_too_much(offer):
    batch = gated(num_processes=2)
    # Process 0 lacks both of its groups, process 1 none: both roll out two more.
    assert offer(batch, 0, [SILENT, SILENT, MIXED, MIXED]) == 4
    assert offer(batch, 10, [MIXED, MIXED, MIXED, SILENT]) == 0
    assert batch.filled() == [[2, 3], [0, 1]]
    assert (trained(batch), discarded(batch)) == ([2, 3, 10, 11], [0, 1, 12, 13])


def test_without_redrawing_groups_may_straddle_processes(offer):
    batch = gated(AllGate(), num_prompts=3, num_processes=2)
    assert offer(batch, 0, [SILENT, MIXED, SILENT]) == 0
    assert trained(batch) == [0, 1, 2]


def test_a_group_that_does_not_train_is_spent_on_nothing_and_the_others_on_training(offer):
    batch = gated(max_generations=1)
    offer(batch, 0, [MIXED, SILENT, MIXED, MIXED])
    spent = batch.spent()
    assert [group.purpose for group in spent] == ["train", "discarded", "train", "train"]
    assert [index_of(group) for group in spent] == [0, 1, 2, 3]


class Answering(Gate):
    """A gate with one answer."""

    def __init__(self, answer):
        self.answer = answer

    def admit(self, outcomes):
        return self.answer


def test_a_gate_that_asks_for_fewer_prompts_gets_fewer(offer):
    batch = gated(Answering(Admission(np.zeros(4, dtype=bool), redraw=1)))
    assert offer(batch, 0, [SILENT] * 4) == 1


def test_a_gate_that_wants_more_rollouts_of_a_prompt_is_refused(offer):
    answer = Admission(np.zeros(4, dtype=bool), more=np.array([0, 2, 0, 0]))
    with pytest.raises(
        ConfigError,
        match=r"Answering wants more rollouts of the same prompts.*set its num_screening",
    ):
        offer(gated(Answering(answer)), 0, [SILENT] * 4)


def test_a_gate_must_decide_on_every_group(offer):
    with pytest.raises(ConfigError, match=r"Answering decided on 3 of 4 groups"):
        offer(gated(Answering(Admission(np.ones(3, dtype=bool)))), 0, [MIXED] * 4)


@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 4), st.data())
def test_every_group_has_one_purpose_and_the_batch_keeps_its_size(
    offer, slots, num_processes, max_generations, data
):
    batch = gated(
        num_prompts=slots * num_processes,
        num_processes=num_processes,
        max_generations=max_generations,
    )
    wanted, kinds = lacking(batch), []
    assert wanted == slots * num_processes
    while wanted:
        rewards = data.draw(
            st.lists(st.sampled_from([MIXED, SILENT]), min_size=wanted, max_size=wanted)
        )
        start = len(kinds)
        kinds += rewards
        wanted = offer(batch, start, rewards)
        assert wanted % num_processes == 0
    assert batch.num_generations <= max_generations
    assert sorted(trained(batch) + discarded(batch)) == list(range(len(kinds)))
    assert all(kinds[index] == MIXED for index in trained(batch))
    assert [index_of(group) for group in batch.spent() if group.purpose == "train"] == trained(
        batch
    )
    assert [len(places) for places in batch.filled()] == [slots] * num_processes
    # Short of admitted groups only where the generations are spent.
    assert len(trained(batch)) == slots * num_processes or batch.num_generations == max_generations


def test_a_gate_that_draws_again_needs_whole_groups_on_each_process():
    check_sizes(AllGate(), num_prompts=3, num_rollouts=8, num_processes=2)
    check_sizes(MixedGate(), num_prompts=4, num_rollouts=8, num_processes=2)
    with pytest.raises(
        ConfigError,
        match=r"MixedGate .* 3 prompts do not divide over 2 processes; choose prompts a batch as",
    ):
        check_sizes(MixedGate(), num_prompts=3, num_rollouts=8, num_processes=2)
