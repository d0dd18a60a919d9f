"""`vasari ablate --dry-run`: cells with their rollouts, and nothing written."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from vasari.cli.main import app
from vasari.core.errors import ConfigError

TINY = Path(__file__).parents[2] / "recipes" / "quickstart_tiny.yaml"


def ablate(out, *words):
    words = ["ablate", str(TINY), "--out", str(out), *words]
    return CliRunner().invoke(app, words, env={"COLUMNS": "200"})


def test_a_dry_run_prints_each_cells_rollouts_and_trains_nothing(tmp_path):
    found = ablate(tmp_path / "out", "--dry-run", "--only", "refresh_every", "--seeds", "0,1")
    assert found.exit_code == 0, found.output
    lines = {words[0]: words[1:] for line in found.output.splitlines() if (words := line.split())}
    # Four batches of 8 prompts x 8 rollouts; the pool of 48 scored by 4 rollouts each before every
    # batch, every second, or before batches 0 and 3.
    assert lines["uniform"][:2] == ["256", "0"]
    assert lines["vas-refresh_every-1"][:2] == ["256", "768"]
    assert lines["vas-refresh_every-2"][:2] == ["256", "384"]
    assert lines["vas"][:2] == ["256", "384"]
    assert lines["vas-refresh_every-4"][:2] == ["256", "192"]
    assert "to do: 10 trainings" in found.output
    assert "hours are not known" in found.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--seeds", "0,x"], "--seeds must be whole numbers"),
        (["--seeds", "1,1"], "--seeds must be different"),
        (["--only", "lambda"], "'lambda'"),
        (["--set", "grpo.max_minutes=5"], "grpo.max_minutes would stop cells at different steps"),
    ],
)
def test_what_cannot_be_compared_is_refused(tmp_path, words, says):
    found = ablate(tmp_path / "out", "--dry-run", *words)
    assert isinstance(found.exception, ConfigError)
    assert says in str(found.exception)
