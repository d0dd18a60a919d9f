"""A hub name that can be neither found nor fetched is refused in seconds, in one line."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from huggingface_hub import constants
from typer.testing import CliRunner

from vasari.cli.main import app
from vasari.core.errors import StateError
from vasari.model.config import load_config
from vasari.model.hub import require_reachable, require_weights
from vasari.model.processor import load_processor
from vasari.model.transformers_policy import load_model

QUICKSTART = Path(__file__).parents[2] / "recipes" / "quickstart.yaml"
NAME = "no-such/model"


@pytest.fixture
def unreachable(monkeypatch, tmp_path):
    """A machine with an empty hub cache, from which the hub cannot be reached."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "ENDPOINT", "http://localhost:1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache"


def put_in_cache(cache: Path, *files: str) -> None:
    snapshot = cache / "models--no-such--model" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    for file in files:
        (snapshot / file).write_text('{"model_type": "qwen2"}')
    refs = cache / "models--no-such--model" / "refs"
    refs.mkdir()
    (refs / "main").write_text("0" * 40)


@pytest.mark.parametrize("load", [load_config, load_processor, load_model, require_weights])
def test_what_is_not_in_the_cache_is_refused_at_once(unreachable, load):
    started = time.monotonic()
    with pytest.raises(
        StateError, match=r"no-such/model: is no folder here.*HF_HUB_OFFLINE=1"
    ) as e:
        load(NAME)
    assert time.monotonic() - started < 6
    assert "localhost cannot be reached" in str(e.value)
    assert "\n" not in str(e.value)


def test_what_is_in_the_cache_is_read_without_network(unreachable):
    put_in_cache(unreachable, "config.json")
    assert load_config(NAME).model_type == "qwen2"
    # transformers would else try for each file that the model does not have.
    assert constants.HF_HUB_OFFLINE


def test_a_config_in_the_cache_without_weights_is_refused(unreachable):
    put_in_cache(unreachable, "config.json")
    require_reachable(NAME, "config.json")
    with pytest.raises(StateError, match=r"model\.safetensors of that name is not in this"):
        require_weights(NAME)


def test_whoever_wants_no_network_is_told_so(unreachable, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(StateError, match="HF_HUB_OFFLINE is set"):
        require_weights(NAME)


@pytest.mark.parametrize(
    "words",
    [
        ("evaluate", "--model", NAME),
        ("evaluate", "--set", f"model.path={NAME}"),
        ("sft", "--set", f"model.path={NAME}"),
        ("train", "--set", f"model.path={NAME}", "--set", "sft=null"),
    ],
    ids=" ".join,
)
def test_every_command_refuses_it_before_it_makes_a_run(unreachable, tmp_path, words):
    command, *options = words
    done = CliRunner().invoke(
        app, [command, str(QUICKSTART), "--out", str(tmp_path / "run"), *options]
    )
    assert isinstance(done.exception, StateError)
    assert "is no folder here" in str(done.exception)
    assert not (tmp_path / "run").exists()


def test_a_path_that_no_hub_name_can_be_is_called_a_folder(tmp_path):
    with pytest.raises(StateError, match=r"--model 'runs/first/best': there is no folder"):
        CliRunner().invoke(
            app,
            ["evaluate", str(QUICKSTART), "--model", "runs/first/best", "--out", str(tmp_path)],
            catch_exceptions=False,
        )
