"""Means over seeds, from gains worked out by hand."""

import quickstart


def summary(greedy: float, sampled: float) -> dict:
    gains = {
        measure: {"mean": mean, "low": mean - 0.05, "high": mean + 0.05, "n": 100}
        for measure, mean in (("greedy", greedy), ("accuracy", sampled), ("pass_at", 0.0))
    }
    part = {"difference": {"final_minus_cold_start": gains}}
    return {"untaught": part, "taught": part}


def test_gains_are_averaged_over_seeds():
    lines = quickstart.over_seeds([summary(0.125, 0.5), summary(0.375, 0.25)])
    assert lines[:2] == [
        "* untaught, greedy: +25.0 points over 2 seeds (+12.5 to +37.5)",
        "* untaught, sampled: +37.5 points over 2 seeds (+25.0 to +50.0)",
    ]
    assert len(lines) == 6


def test_a_difference_is_spelled_in_points():
    assert quickstart.points({"mean": 0.034, "low": -0.01, "high": 0.078}) == "+3.4 (-1.0 to +7.8)"
    assert quickstart.points(None) == "-"


def test_the_sampler_is_compared_with_uniform_over_seeds():
    runs = [
        summary(0.1, 0.2) | {"difference": {"final_minus_uniform": {"mean": mean}}}
        for mean in (0.02, -0.01, 0.02)
    ]
    # By hand: mean 1, standard error 1, t(0.975, 2) = 4.303.
    assert quickstart.over_seeds(runs)[-1] == (
        "* all levels, sampled, sampler - uniform: +1.0 points over 3 seeds"
        " (95% t-interval -3.3 to +5.3)"
    )
