import math

import numpy as np
import pytest

from vasari.core.errors import ConfigError
from vasari.records import GroupOutcome
from vasari.sample import make_gate

NAN = math.nan


def group(rewards, verdicts=None):
    verdicts = [0.0] * len(rewards) if verdicts is None else verdicts
    return GroupOutcome(index=0, rewards=np.array(rewards), verdicts=np.array(verdicts))


TABLE = [
    ([1.0, 0.0], True),
    ([1.0, 1.0], False),
    ([0.0, 0.0], False),
    ([1.0, 1.0 + 1e-12], False),
    ([1.0, 1.0 + 1e-6], True),
    ([NAN, 1.0, 0.0], True),
    ([NAN, 1.0, 1.0], False),
    ([NAN, 1.0], False),
    ([NAN, NAN], False),
]


@pytest.mark.parametrize(("rewards", "mixed"), TABLE)
def test_mixed_admits_groups_whose_rewards_differ(rewards, mixed):
    admission = make_gate("mixed").admit([group(rewards)])
    assert (admission.admitted.tolist(), admission.redraw) == ([mixed], int(not mixed))


def test_mixed_reads_rewards_and_not_verdicts():
    assert make_gate("mixed").admit(
        [group([0.9, 0.1], [1, 1]), group([0.5, 0.5], [1, 0])]
    ).admitted.tolist() == [True, False]


def test_all_refuses_only_what_cannot_train_and_draws_nothing_again():
    admission = make_gate("all").admit([group([1.0, 1.0]), group([1.0, 0.0]), group([NAN, 1.0])])
    assert (admission.admitted.tolist(), admission.redraw) == ([True, True, False], 0)


@pytest.mark.parametrize("name", ["all", "mixed"])
def test_no_groups_are_no_trouble(name):
    admission = make_gate(name).admit([])
    assert (admission.admitted.shape, admission.admitted.dtype, admission.redraw) == (
        (0,),
        np.bool_,
        0,
    )


def test_an_unknown_gate_is_refused():
    with pytest.raises(
        ConfigError, match=r"gate must be one of all, mixed, two_stage, or .*; got 'dapo'"
    ):
        make_gate("dapo")
