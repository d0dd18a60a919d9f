import math

import numpy as np
import pytest

from vasari.report.curves import metric_curve, short_count, validation_curve
from vasari.report.inputs import Arm


def test_a_curve_lies_over_all_rollouts_charged():
    rows = [
        {"step": 1, "reward": 1.0, "ledger/rollouts/train": 10, "ledger/rollouts/refresh": 100},
        {
            "step": 2,
            "reward": 1.5,
            "ledger/rollouts/train": 20,
            "ledger/rollouts/refresh": 100,
            "ledger/rollouts/discarded": 3,
        },
    ]
    curve = metric_curve(0, Arm("vas", rows, []), "reward")
    assert curve.rollouts.tolist() == [110, 123]
    assert curve.steps.tolist() == [1, 2]
    assert curve.values.tolist() == [1.0, 1.5]


def test_a_line_without_a_ledger_lies_where_the_line_before_it_does():
    rows = [{"step": 1, "ledger/rollouts/train": 10}, {"step": 2, "grad_norm": 0.5}]
    assert metric_curve(0, Arm("vas", rows, []), "grad_norm").rollouts.tolist() == [10]


def test_a_metric_that_was_never_logged_has_no_curve():
    assert metric_curve(0, Arm("vas", [{"step": 1, "loss": 0.1}], []), "reward") is None


def test_a_samplers_metric_is_found_under_a_doubled_prefix():
    rows = [{"step": 1, "sampler/sampler/vps_mean": 0.2}]
    assert metric_curve(0, Arm("vas", rows, []), "sampler/vps_mean").values.tolist() == [0.2]


def test_validation_keeps_its_interval_and_leaves_unknown_bounds_open():
    rows = [
        {"step": 4, "accuracy": 0.5, "low": 0.4, "high": 0.6, "rollouts": 80},
        {"step": 8, "accuracy": 0.6, "rollouts": 160},
    ]
    curve = validation_curve(0, Arm("vas", [], rows))
    assert curve.rollouts.tolist() == [80, 160]
    np.testing.assert_array_equal(curve.low, [0.4, math.nan])


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, "0"), (950, "950"), (12_000, "12k"), (143_360, "143k"), (1_500_000, "1.5M")],
)
def test_counts_on_an_axis_are_short(value, said):
    assert short_count(value) == said
