"""Settings from a file: what is wrong is said in one line, and a value only where it can be no
secret."""

import pytest

from vasari.core.errors import ConfigError
from vasari.core.settings import Settings, parse_settings, read_yaml


class Server(Settings):
    seconds: float = 1.0
    name: str = "server"
    retry: bool | int = 1


def test_each_wrong_key_and_value_is_named_with_what_came():
    with pytest.raises(
        ConfigError,
        match=(
            r"^recipe: seconds: Input should be a valid number.*, got 'soon'; unknown key 'secnds';"
            r" do you mean 'seconds'\?$"
        ),
    ):
        parse_settings(Server, {"seconds": "soon", "secnds": 3}, where="recipe")


def test_a_key_pasted_into_the_wrong_field_is_not_repeated():
    with pytest.raises(ConfigError) as refused:
        parse_settings(
            Server,
            {"seconds": "sk-secret", "name": ["sk-secret"]},
            where="endpoint",
            show_values=False,
        )
    assert "secret" not in str(refused.value)
    assert "seconds" in str(refused.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [1", r"^recipe .* is not YAML: line 1, column 6: expected"),
        (b"- 1\n- 2\n", r"expected keys and values at the top, got list$"),
        (b"a: \xff", r"is not UTF-8: byte 0xff in line 1"),
        (b"[" * 100_000, r"is not YAML"),
    ],
    ids=["broken", "a list", "not text", "deep"],
)
def test_a_file_that_is_no_mapping_is_refused(tmp_path, content, message):
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read_yaml(path, what="recipe")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"^judge .*nowhere.yaml: No such file or directory$"):
        read_yaml(tmp_path / "nowhere.yaml", what="judge")


@pytest.mark.parametrize("value", [True, False])
def test_true_and_false_are_no_numbers_but_where_they_are_allowed(value):
    with pytest.raises(ConfigError, match="seconds: expected no true or false"):
        parse_settings(Server, {"seconds": value}, where="recipe")
    assert parse_settings(Server, {"retry": value}, where="recipe").retry is value


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_number_is_finite(value):
    with pytest.raises(ConfigError, match="seconds: Input should be a finite number"):
        parse_settings(Server, {"seconds": value}, where="recipe")
