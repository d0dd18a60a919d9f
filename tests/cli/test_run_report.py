"""Who won a comparison, from numbers worked out by hand."""

import pytest

from vasari.cli.run_report import who_won


@pytest.mark.parametrize(
    ("low", "mean", "high", "words"),
    [
        (0.01, 0.034, 0.058, "mine won against uniform: +3.4 points, +1.0 to +5.8"),
        (-0.058, -0.034, -0.01, "uniform won against mine: -3.4 points, -5.8 to -1.0"),
        (-0.01, 0.012, 0.034, "nobody won, mine or uniform: +1.2 points, -1.0 to +3.4"),
        (0.0, 0.01, 0.02, "nobody won, mine or uniform: +1.0 points, +0.0 to +2.0"),
    ],
)
def test_an_interval_that_holds_0_decides_nothing(low, mean, high, words):
    difference = {"mean": mean, "low": low, "high": high, "n": 1200}
    said = who_won("mine", difference)
    assert said == (
        f"{words}, over 1,200 paired prompts, one training run each; another seed may say the"
        " opposite"
    )
