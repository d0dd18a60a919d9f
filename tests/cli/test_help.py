"""What `--help` says, word for word where markup could swallow it."""

import pytest
from typer.testing import CliRunner

from vasari.cli.main import app

DEFAULTS = {
    "train": "runs/NAME OF THE RECIPE",
    "compare": "the first one of each",
    "score": "beside FILE, NAME.scores",
    "rescore": "from the file's name",
}


@pytest.mark.parametrize("command", DEFAULTS)
def test_a_default_that_is_made_from_something_is_named(command):
    shown = (
        CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    )
    assert f"[default: {DEFAULTS[command]}]" in " ".join(shown.replace("│", " ").split())
