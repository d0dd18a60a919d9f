"""The interface of slime's commit that docs/slime.md names, and whether ours and theirs have it."""

from __future__ import annotations

import inspect
import json

import pytest
import slime_interface
import slime_training as training

from vasari.slime import VarianceAwareDataSource, generate_rollout

RECORDED = json.loads(slime_interface.RECORDED.read_text())


def recorded(name):
    return RECORDED["signatures"][f"slime.rollout.{name}"]


@pytest.mark.parametrize(
    "name", ["__init__", "get_samples", "add_samples", "save", "load", "__len__"]
)
def test_our_data_source_is_called_as_slime_s_own(name):
    ours = list(inspect.signature(getattr(VarianceAwareDataSource, name)).parameters)
    assert ours == recorded(f"data_source.RolloutDataSourceWithBuffer.{name}")


def test_our_rollout_function_is_called_as_slime_s_own():
    ours = list(inspect.signature(generate_rollout).parameters)
    assert ours == recorded("sglang_rollout.generate_rollout")


def test_the_stand_in_has_what_it_has_as_recorded():
    with training.importable(training.STAND_IN):
        found = slime_interface.found()
    assert found.pop("signatures").items() <= RECORDED["signatures"].items()
    assert found == {name: RECORDED[name] for name in found}


@pytest.mark.slow
@pytest.mark.skipif(training.SOURCE is None, reason="VASARI_SLIME_SOURCE names none")
def test_slime_has_the_recorded_interface():
    with training.importable(training.SOURCE):
        found = slime_interface.found()
    assert found == {name: RECORDED[name] for name in found}
