"""Prompts drawn in place of those that a gate remembers and does not want."""

import numpy as np
import pytest

from vasari.records import Draw
from vasari.sample import AllGate, make_sampler
from vasari.train.gated_batch import draw_for_gate


class Refusing(AllGate):
    """Does not want these prompts."""

    def __init__(self, unwanted):
        self.unwanted = set(unwanted)

    def wanted(self, indices, batch):
        return np.array([index not in self.unwanted for index in indices.tolist()], dtype=bool)


@pytest.fixture
def in_order(remembering_sampler):
    """A ranking sampler over ten prompts: every draw begins with prompt 0 again."""

    class Ranking(remembering_sampler):
        def _draw(self, num_prompts):
            return Draw(np.arange(num_prompts), ("promoted",) * num_prompts)

    return Ranking(10)


@pytest.mark.parametrize(
    ("unwanted", "num", "facts", "expected"),
    [
        ([], 4, {}, [0, 1, 2, 3]),
        ([0, 2], 4, {}, [1, 3, 4, 5]),
        (range(9), 1, {}, [9]),
        (range(9), 3, {}, [9, 0, 1]),  # the pool has one: others fill the batch
        (range(9), 3, {"fill_to": 0}, [9]),
        (range(9), 3, {"fill_to": 2}, [9, 0]),
        ([], 3, {"excluded": {0, 1}}, [2, 3, 4]),
        (range(10), 3, {"fill_to": 0}, []),
        ([], 5, {"multiple_of": 2}, [0, 1, 2, 3]),
        ([], 0, {}, []),
        ([], -1, {}, []),
    ],
)
def test_who_is_drawn(in_order, unwanted, num, facts, expected):
    assert (
        draw_for_gate(in_order, Refusing(unwanted), num, batch=0, **facts).indices.tolist()
        == expected
    )


def test_roles_go_with_their_prompts(in_order):
    assert draw_for_gate(in_order, Refusing([0]), 3, batch=0).roles == ("promoted",) * 3


def test_the_gate_is_asked_about_the_present_batch(in_order):
    asked = []

    class Asked(AllGate):
        def wanted(self, indices, batch):
            asked.append(batch)
            return np.ones(len(indices), dtype=bool)

    draw_for_gate(in_order, Asked(), 3, batch=7)
    assert set(asked) == {7}


def test_nothing_is_asked_of_the_sampler_where_no_prompt_is_needed():
    sampler = make_sampler("uniform", num_prompts=10, seed=0)
    before = str(sampler.state_dict())
    draw_for_gate(sampler, AllGate(), 0, batch=0)
    assert str(sampler.state_dict()) == before


def test_a_draw_with_replacement_keeps_its_repeats(remembering_sampler):
    class Repeating(remembering_sampler):
        def _draw(self, num_prompts):
            return Draw(np.zeros(num_prompts, dtype=np.int64), ("promoted",) * num_prompts)

    assert draw_for_gate(Repeating(10), AllGate(), 3, batch=0).indices.tolist() == [0, 0, 0]
