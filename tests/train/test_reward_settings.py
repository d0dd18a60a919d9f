"""What a recipe says of rewards and of the gate, checked when it is read."""

import pytest
from pydantic import ValidationError

from vasari.train.settings import GrpoSettings


def read(**content):
    return GrpoSettings.model_validate(content)


def test_the_default_is_the_paper_s_accuracy_and_format_at_weight_one():
    assert [(term.name, term.weight) for term in read().make_rewards()] == [
        ("accuracy", 1.0),
        ("format", 1.0),
    ]


def test_names_weights_and_settings_are_those_of_the_recipe():
    terms = read(
        rewards=["format", {"name": "repetition", "weight": -0.5, "settings": {"ngram": 3}}]
    ).make_rewards()
    assert [(term.name, term.weight) for term in terms] == [("format", 1.0), ("repetition", -0.5)]
    assert terms[1].function.ngram == 3


def test_a_term_with_a_limit_has_the_training_s_unless_told_otherwise():
    own = {"name": "soft_overlong", "settings": {"max_tokens": 50}}
    alone, told = (
        read(trl={"max_completion_length": 80}, rewards=[term]).make_rewards()[0]
        for term in ("soft_overlong", own)
    )
    assert (alone.function.max_tokens, told.function.max_tokens) == (80, 50)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"rewards": []}, "name at least one term"),
        ({"rewards": ["accuracy", "accuracy"]}, "accuracy stands twice"),
        ({"rewards": [{"name": "accuracy", "weight": 0}]}, "weight must be finite and not 0"),
        ({"rewards": [{"name": "accuracy", "wieght": 1}]}, "wieght"),
        (
            {"rewards": [{"name": "repetition", "settings": {"ngram": 2.5}}]},
            "ngram must be a whole number",
        ),
        ({"rewards": ["precision"]}, "reward must be one of accuracy, format"),
        ({"rewards": ["antigravity:geohash"]}, "allow it with --plugin antigravity"),
        ({"gate": "antigravity:geohash"}, "allow it with --plugin antigravity"),
        (
            {"gate": {"name": "mixed", "settings": {"share": 0.5}}},
            "gate 'mixed' has no setting 'share'",
        ),
        (
            {"gate": {"name": "two_stage", "settings": {"low": 0.5}}},
            "settings of gate: two_stage are those of `screening`",
        ),
        ({"format_reward": 0.5}, r"format_reward\n +Extra inputs"),
    ],
)
def test_what_does_not_fit_is_refused(content, message):
    with pytest.raises(ValidationError, match=message):
        read(**content)
