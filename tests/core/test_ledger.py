import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vasari.core.errors import ConfigError, StateError
from vasari.core.ledger import Ledger
from vasari.records import PURPOSES

charges = st.lists(
    st.tuples(st.sampled_from(PURPOSES), st.integers(0, 1000), st.integers(0, 10**6))
)


@settings(deadline=None)
@given(charges)
def test_the_total_is_all_that_was_charged(spent):
    ledger = Ledger()
    for purpose, rollouts, tokens in spent:
        ledger.charge(purpose, rollouts=rollouts, tokens=tokens)
    assert ledger.total_rollouts == sum(rollouts for _, rollouts, _ in spent)
    assert sum(ledger.tokens.values()) == sum(tokens for *_, tokens in spent)


@settings(deadline=None)
@given(charges, charges)
def test_a_resumed_ledger_goes_on_counting(first, then):
    one, other = Ledger(), Ledger()
    for purpose, rollouts, tokens in first:
        one.charge(purpose, rollouts=rollouts, tokens=tokens)
    other.load_state_dict(json.loads(json.dumps(one.state_dict())))
    for ledger in (one, other):
        for purpose, rollouts, tokens in then:
            ledger.charge(purpose, rollouts=rollouts, tokens=tokens)
    assert other.metrics() == one.metrics()


def test_moving_changes_the_purpose_and_not_the_total():
    ledger = Ledger()
    ledger.charge("train", rollouts=16, tokens=400)
    ledger.move("train", "discarded", rollouts=8, tokens=150)
    assert ledger.rollouts == {"train": 8, "refresh": 0, "screen": 0, "discarded": 8}
    assert ledger.tokens == {"train": 250, "refresh": 0, "screen": 0, "discarded": 150}


def test_moving_more_than_was_charged_is_refused():
    ledger = Ledger()
    ledger.charge("train", rollouts=4, tokens=10)
    with pytest.raises(ConfigError, match="cannot move 5 rollouts from 'train': it has 4"):
        ledger.move("train", "discarded", rollouts=5, tokens=10)


def test_an_unknown_purpose_is_refused():
    with pytest.raises(ConfigError, match="got 'warmup'"):
        Ledger().charge("warmup", rollouts=1, tokens=1)


@pytest.mark.parametrize("charge", [{"rollouts": -1, "tokens": 0}, {"rollouts": 0, "tokens": -1}])
def test_a_negative_charge_is_refused(charge):
    with pytest.raises(ConfigError, match="cannot be negative"):
        Ledger().charge("train", **charge)


def test_state_of_another_schema_is_refused():
    with pytest.raises(StateError, match="schema 3, expected 2"):
        Ledger().load_state_dict({"schema": 3})


def test_counts_that_were_handed_out_do_not_change():
    ledger = Ledger()
    before = ledger.rollouts
    ledger.charge("screen", rollouts=3, tokens=3)
    assert before["screen"] == 0


def test_metrics_name_each_purpose():
    assert set(Ledger().metrics()) == {
        f"ledger/{what}/{name}" for what in ("rollouts", "tokens") for name in PURPOSES
    }
