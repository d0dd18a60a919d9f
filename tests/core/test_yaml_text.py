"""What YAML cannot hold is told in one line with its place, for recipes of every kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from vasari.core.errors import ConfigError, DataError
from vasari.core.settings import read_content
from vasari.core.yaml_text import MAX_VALUES, NotYamlError, load_yaml
from vasari.data.sources import describe_source


def bomb() -> str:
    """A few lines whose aliases unfold to ten billion values."""
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    return "\n".join(lines)


# Text -> line and words of the problem.
FAULTS = {
    "seed: 2024-02-30": "line 1, column 7: '2024-02-30' cannot be read: there is no such date",
    "when: 2024-01-01T25:00:00Z": "there is no such date",
    "name: x\nseed: " + "9" * 5_000: "line 2, column 7: '9999.*a whole number has at most 64 bits",
    "seed: 0x" + "f" * 5_000: "at most 64 bits",
    f"seed: {2**64}": "at most 64 bits",
    "[" * 20_000: "nested too deeply",
    "a:\n" + "- " * 20_000 + "b": "nested too deeply",
    bomb(): f"line 5, column 5: with its aliases it holds more than {MAX_VALUES:,} values",
    "a: &a [*a]": "an alias stands within what it names",
    "a: *b": "undefined alias 'b'",
    "seed: 1\nname: x\nseed: 2": "line 3, column 1: the key 'seed' stands twice, first in line 1",
    "a:\n  b: 1\n  b: 2": "line 3, column 3: the key 'b' stands twice",
    "a: 1\n\tb: 2": "line 2, column 1: found character '\\\\t'",
    "a: \x00": "line 1: the character '\\\\x00' is not allowed",
    'a: "\\ud800"': "not valid Unicode",
    "a: !!python/object/apply:os.system ['true']": "could not determine a constructor",
    "a: !!float ''": "it is no float",
    "a: !!timestamp x": "no such date",
    "a: !!bool x": "it is no bool",
    "a: !!binary zzz": "column 4",
    "? [1]\n: 2": "unhashable key",
    "a: 1\n---\nb: 2": "line 2, column 1",
    "a: [1": "line 1, column 6",
}


@pytest.mark.parametrize("text", FAULTS, ids=range(len(FAULTS)))
def test_a_problem_says_where_and_what(text):
    with pytest.raises(NotYamlError, match=FAULTS[text]) as caught:
        load_yaml(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("text", FAULTS, ids=range(len(FAULTS)))
def test_every_file_that_is_yaml_names_itself_and_the_place(text, tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(text)
    for read, error in (
        (lambda: read_content(path), ConfigError),
        (lambda: describe_source(str(path)), DataError),
    ):
        with pytest.raises(error, match=FAULTS[text]) as caught:
            read()
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", FAULTS, ids=range(len(FAULTS)))
def test_an_override_says_what_it_cannot_be(text, tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("name: x")
    with pytest.raises(ConfigError, match=r"^--set ['\"]seed=") as caught:
        read_content(path, [f"seed={text}"])
    assert len(str(caught.value)) < 700
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: 1\nb: \xe9", "is not UTF-8: byte 0xe9 in line 2"),
        ("a: 1".encode("utf-16"), "is not UTF-8: byte 0xff in line 1"),
        (b"a: " + b"x" * (4 * 2**20), "has more than 4,194,304 bytes"),
    ],
)
def test_what_is_no_text_is_told(content, message, tmp_path):
    path = tmp_path / "r.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read_content(path)


def test_a_folder_and_nothing_are_told(tmp_path):
    for path, message in ((tmp_path, "Is a directory"), (Path("none.yaml"), "No such file")):
        with pytest.raises(ConfigError, match=message):
            read_content(path)


def test_what_a_recipe_may_hold_is_read_as_before():
    text = "\ufeffbase: &b {x: 1}\nd:\n  <<: *b\n  y: [0x10, 1_000, .inf, 2024-02-29]\n"
    found = load_yaml(text.removeprefix("\ufeff"))
    assert found["d"]["x"] == 1
    assert [found["d"]["y"][0], found["d"]["y"][1], str(found["d"]["y"][3])] == [
        16,
        1000,
        "2024-02-29",
    ]
    assert load_yaml("") is None
