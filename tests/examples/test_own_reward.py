"""The example's rewards, by the names that a recipe gives them."""

from pathlib import Path

import pytest

from vasari.core.errors import ConfigError
from vasari.core.plugins import names_from_a_file
from vasari.records import Outcome, Prompt, Verdict
from vasari.score import check_reward, make_rewards, score_rollouts

RIGHT, WRONG, UNKNOWN = (Verdict(outcome) for outcome in Outcome)
TERMS = [
    {"name": "accuracy"},
    {"name": "own_reward:brevity", "weight": 0.2, "settings": {"words": 10}},
    {"name": "own_reward:no_guessing", "weight": 0.1},
]


@pytest.fixture(autouse=True)
def examples_importable(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "examples"))
    monkeypatch.delenv("VASARI_PLUGINS", raising=False)


@pytest.mark.parametrize(
    ("text", "verdict", "breakdown"),
    # 3 of 10 words leave 0.7 of brevity, of which a weight of 0.2 makes 0.14.
    [
        ("It is 4.", RIGHT, {"accuracy": 1.0, "brevity": 0.14, "no_guessing": 0.1}),
        ("I guess 4.", RIGHT, {"accuracy": 1.0, "brevity": 0.14, "no_guessing": 0.0}),
        ("4 " * 20, RIGHT, {"accuracy": 1.0, "brevity": 0.0, "no_guessing": 0.1}),
        ("It is 5.", WRONG, {"accuracy": 0.0, "brevity": 0.0, "no_guessing": 0.1}),
    ],
)
def test_its_terms_are_as_computed_by_hand(text, verdict, breakdown):
    (reward,) = score_rollouts(
        make_rewards(TERMS),
        prompts=[Prompt(id="q", question="What is 2 + 2?", answer="4")],
        texts=[text],
        token_ids=[[1]],
        verdicts=[verdict],
        truncated=[False],
    )
    assert dict(reward.breakdown) == pytest.approx(breakdown)
    assert reward.total == pytest.approx(sum(breakdown.values()))


@pytest.mark.parametrize("name", ["own_reward:brevity", "own_reward:no_guessing"])
def test_its_terms_keep_the_contract(name):
    check_reward(name)


def test_a_recipe_names_them_only_where_they_were_allowed(monkeypatch):
    with names_from_a_file(), pytest.raises(ConfigError, match="allow it with --plugin own_reward"):
        make_rewards(TERMS)
    monkeypatch.setenv("VASARI_PLUGINS", "own_reward")
    with names_from_a_file():
        assert [term.name for term in make_rewards(TERMS)] == ["accuracy", "brevity", "no_guessing"]
