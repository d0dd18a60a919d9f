"""A judge's YAML file: what it may say, and the line that names what is wrong with it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from vasari.core.errors import ConfigError
from vasari.verify.judge import FORMATS, load_judge

PLAIN = "model: m\nendpoint:\n  base_url: http://127.0.0.1:9/v1\n"


@pytest.fixture
def load(tmp_path):
    """Loads a judge from YAML text."""

    def call(text):
        (tmp_path / "judge.yaml").write_text(text)
        return load_judge(tmp_path / "judge.yaml")

    return call


def test_a_server_and_a_model_suffice(load):
    judge = load(PLAIN)
    assert (judge.format, judge.temperature, judge.store) == ("vasari", 0.0, None)


def test_places_are_relative_to_the_file(load, tmp_path):
    (tmp_path / "prompt.txt").write_text("{question} {answer} {response}")
    judge = load(PLAIN + "format: xverify\nstore: bought\ntemplate_file: prompt.txt\n")
    assert judge.store == tmp_path / "bought"
    assert judge.template == "{question} {answer} {response}"


def test_what_decides_a_verdict_is_its_identity_and_server_and_limits_are_not(load):
    one, other = (
        load(PLAIN),
        load(PLAIN.replace("127.0.0.1:9", "127.0.0.1:8") + "store: there\nmax_tokens: 9\n"),
    )
    assert one.identity() == other.identity() != load(PLAIN + "temperature: 1.0\n").identity()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- 1", r"expected keys and values at the top, got list"),
        ("a: [", r"is not YAML"),
        ("model: m", r"endpoint: Field required"),
        (PLAIN + "judge: x", r"unknown key 'judge'"),
        (
            PLAIN + "format: gpt",
            r"format: Input should be 'vasari', 'compass_verifier' or 'xverify'",
        ),
        (PLAIN + "num_replies: 0", r"num_replies: .*greater than or equal to 1"),
        (PLAIN + "template: 'only {answer}'", r"template lacks \{response\}, \{code\}"),
        (PLAIN + "format: xverify\ntemplate: '{answer}'", r"template lacks \{response\}"),
        (PLAIN + "template_file: gone.txt", r"gone\.txt"),
        (PLAIN + "template_file: a\ntemplate: b", r"not both"),
        (PLAIN + "extra: {seed: 3}", r"may not set \['seed'\]"),
        (PLAIN.replace("http://", "http://user:secret-key@"), r"must hold no user"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(load, text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        load(text)
    assert "\n" not in str(caught.value)
    assert "secret-key" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"gone\.yaml: No such file"):
        load_judge(tmp_path / "gone.yaml")


@pytest.mark.parametrize("name", FORMATS)
def test_braces_in_the_texts_stay_what_they_are(name):
    prompt = FORMATS[name].prompt(
        question="{answer}", answer="{x | x > {response}}", response="{code}{}", code="0badcafe"
    )
    assert "{x | x > {response}}" in prompt
    assert "{code}{}" in prompt


@pytest.mark.slow
def test_verifying_and_rescoring_without_a_judge_load_no_client():
    code = (
        "import sys, vasari.verify, vasari.cli.rescore_job; print([m for m in ('aiohttp', 'orjson')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
