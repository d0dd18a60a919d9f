"""Names of a user's own code: what they lead to, and what a file may not name."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.core.errors import ConfigError
from vasari.core.plugins import (
    VARIABLE,
    allow_plugins,
    allowed_plugins,
    is_allowed,
    names_from_a_file,
    offered_plugins,
    require_allowed,
    resolve,
)

OURS = {"plain": "ours"}
MODULE = """
import os
import pathlib
from os import system
from posixpath import join
from my_package.parts import Part

FOLDER = pathlib.Path("kept")
PART = Part()


def short(text):
    return len(text)


class Outer:
    class Inner:
        pass


_hidden = short
"""


@pytest.fixture(autouse=True)
def nothing_allowed(monkeypatch):
    """No package is allowed, whatever the machine says; what a test allows is forgotten after
    it."""
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """A package `my_package` with two modules, and a neighbour whose name begins alike; each leaves
    a file when imported."""
    for folder, files in {
        "my_package": {
            "__init__": "",
            "rewards": MODULE,
            "parts": "class Part:\n    def method(self): ...\n",
        },
        "my_package_too": {"__init__": "def short(text): ...\n"},
    }.items():
        (tmp_path / folder).mkdir()
        for name, text in files.items():
            leave = (
                f"import pathlib\npathlib.Path({str(tmp_path)!r},"
                f" 'imported-{folder}-{name}').touch()\n"
            )
            (tmp_path / folder / f"{name}.py").write_text(leave + text)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in [
        name for name in sys.modules if name.partition(".")[0] in ("my_package", "my_package_too")
    ]:
        del sys.modules[name]


def imported(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("imported-*"))


# What a name stands for.


def test_a_name_of_ours_is_found_without_an_import():
    with names_from_a_file():
        assert resolve("plain", OURS, kind="reward") == "ours"


def test_a_function_and_a_class_within_a_class_are_found(package):
    assert resolve("my_package.rewards:short", OURS, kind="reward")("four") == 4
    assert resolve("my_package.rewards:Outer.Inner", OURS, kind="reward").__name__ == "Inner"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "short",
            "reward must be one of plain, or your own as package.module:attribute; got 'short'",
        ),
        ("my_package.rewards", "got 'my_package.rewards'"),
        ("my_package.rewards:", "got 'my_package.rewards:'"),
        (":short", "got ':short'"),
        ("my_package.rewards:longer", "my_package.rewards has no attribute 'longer'"),
        ("my_package.rewards:short.long", "my_package.rewards has no attribute 'short.long'"),
        ("my_package.none:short", "my_package.none cannot be imported: ModuleNotFoundError"),
        ("my_package.rewards:_hidden", "_hidden is private"),
        ("my_package.rewards:short.__globals__", "__globals__ is private"),
    ],
)
def test_a_name_that_leads_nowhere_says_where_it_ends(package, name, message):
    with pytest.raises(ConfigError) as refused:
        resolve(name, OURS, kind="reward")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("this is no Python", "SyntaxError"),
        ("raise ValueError('two\\nlines')", "ValueError: two lines"),
        ("import sys\nsys.exit(0)", "SystemExit: 0"),
        ("import not_installed_anywhere", "No module named 'not_installed_anywhere'"),
    ],
)
def test_a_module_that_fails_while_it_is_imported_is_one_line(package, text, said):
    (package / "my_package" / "broken.py").write_text(text)
    with pytest.raises(ConfigError) as refused:
        resolve("my_package.broken:short", OURS, kind="gate")
    message = str(refused.value)
    assert message.startswith(
        "gate 'my_package.broken:short': my_package.broken cannot be imported: "
    )
    assert said in message
    assert "\n" not in message


# What a file may name.


HOSTILE = [
    "os:system",
    "builtins:exec",
    "subprocess:run",
    "my_package.rewards:short",
    "my_package_too:short",
    "..my_package.rewards:short",
    "my_package..rewards:short",
    ".my_package:short",
    "my_package/rewards:short",
    "../my_package:short",
    "my_package.rewards:short; import os",
    "my_package.rewards:short()",
    "my_package.rewards: short",
    " my_package.rewards:short",
    "my_package.rewards:short\n",
    "my_package.rewards:short:short",
    "my_package.rewards:",
    "my_package.rewards:.short",
    "my_package.rewards:'short'",
    '__import__("my_package"):short',
    "__import__:my_package",
    "my_package.rewards:__loader__",
    "my_package.rewards:Outer.__init__",
    "\uff4d\uff59_package.rewards:short",  # letters of full width
    "my_packagе.rewards:short",  # noqa: RUF001  (a Cyrillic letter)
    "my_package\u200b.rewards:short",
    "my_package\0.rewards:short",
    ":",
    "",
    ".:.",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_in_a_file_imports_nothing_that_was_not_allowed(package, name):
    with names_from_a_file(), pytest.raises(ConfigError) as refused:
        resolve(name, OURS, kind="reward")
    with pytest.raises(ConfigError):
        require_allowed(name, OURS, kind="reward")
    assert imported(package) == []
    assert "\n" not in str(refused.value)


@given(st.text(max_size=30), st.text(max_size=12))
def test_no_text_in_a_file_is_imported_while_nothing_is_allowed(module, attribute):
    def fail(name):
        raise AssertionError(f"{name!r} was imported")

    with pytest.MonkeyPatch.context() as patch, names_from_a_file():
        patch.setattr(importlib, "import_module", fail)
        with pytest.raises(
            ConfigError, match=r"sampler must be one of|is private|allow it with --plugin"
        ):
            resolve(f"{module}:{attribute}", OURS, kind="sampler")


def test_the_refusal_says_how_to_allow_it():
    with names_from_a_file(), pytest.raises(ConfigError) as refused:
        resolve("my_package.rewards:short", OURS, kind="reward")
    assert "allow it with --plugin my_package, or VASARI_PLUGINS=my_package" in str(refused.value)


def test_an_allowed_package_is_imported_and_its_like_named_neighbour_is_not(package):
    allow_plugins(["my_package"])
    with names_from_a_file():
        assert resolve("my_package.rewards:short", OURS, kind="reward")("four") == 4
        with pytest.raises(ConfigError, match="code of the package 'my_package_too'"):
            resolve("my_package_too:short", OURS, kind="reward")
    assert "imported-my_package_too-__init__" not in imported(package)


@pytest.mark.parametrize(
    "allowed", ["my", "my_pack", "my_package.reward", "my_package.parts", "rewards", "My_package"]
)
def test_a_package_whose_name_begins_or_ends_alike_allows_nothing(package, allowed):
    allow_plugins([allowed])
    with names_from_a_file(), pytest.raises(ConfigError, match="allow it with --plugin my_package"):
        resolve("my_package.rewards:short", OURS, kind="reward")
    assert imported(package) == []


def test_a_module_alone_can_be_allowed(package):
    allow_plugins(["my_package.rewards"])
    with names_from_a_file():
        assert callable(resolve("my_package.rewards:short", OURS, kind="reward"))
        with pytest.raises(ConfigError, match="code of the package 'my_package'"):
            resolve("my_package.parts:Part", OURS, kind="reward")


@pytest.mark.parametrize(
    ("attribute", "home"),
    [
        ("os.system", "os"),
        ("os", "os"),
        ("system", "posix"),
        ("join", "posixpath"),
        ("pathlib.Path", "pathlib"),
        ("FOLDER.write_text", "pathlib"),
        ("short.__call__", None),
    ],
)
def test_an_allowed_package_does_not_lend_what_it_imports(package, attribute, home):
    allow_plugins(["my_package"])
    with (
        names_from_a_file(),
        pytest.raises(
            ConfigError, match="is private" if home is None else f"of the package '{home}'"
        ),
    ):
        resolve(f"my_package.rewards:{attribute}", OURS, kind="reward")


def test_what_an_allowed_package_made_or_has_from_its_own_modules_is_found(package):
    allow_plugins(["my_package"])
    with names_from_a_file():
        assert (
            resolve("my_package.rewards:Part", OURS, kind="policy").__module__ == "my_package.parts"
        )
        assert type(resolve("my_package.rewards:PART", OURS, kind="policy")).__name__ == "Part"
        assert callable(resolve("my_package.rewards:PART.method", OURS, kind="policy"))


def test_code_that_a_caller_names_itself_is_not_limited(package):
    assert resolve("my_package.rewards:os.getcwd", OURS, kind="reward") is os.getcwd


def test_the_limit_ends_with_the_file(package):
    with names_from_a_file(), names_from_a_file():
        pass
    assert callable(resolve("my_package.rewards:short", OURS, kind="reward"))


# Allowing.


def test_what_is_allowed_adds_up_and_is_handed_to_child_processes(monkeypatch):
    monkeypatch.setenv(VARIABLE, " first , second,,")
    allow_plugins(["third", "first"])
    assert allowed_plugins() == ("first", "second", "third")
    assert os.environ[VARIABLE] == "first,second,third"


@pytest.mark.parametrize(
    "name",
    ["my-package", "my_package:short", "my_package.", "", "../here", "a b", "my_package/rewards"],
)
def test_a_plugin_that_is_no_package_name_is_refused(name):
    with pytest.raises(
        ConfigError, match=r"named like a package, e.g. my_package or my_package.rewards; got '"
    ):
        allow_plugins([name])
    assert allowed_plugins() == ()


def test_a_module_of_the_working_folder_is_found_once_it_is_allowed(tmp_path, monkeypatch):
    (tmp_path / "lying_here.py").write_text("def short(text): return 1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [part for part in sys.path if part not in ("", str(tmp_path))])
    with pytest.raises(ConfigError, match="No module named 'lying_here'"):
        resolve("lying_here:short", OURS, kind="reward")
    allow_plugins(["lying_here"])
    with names_from_a_file():
        assert resolve("lying_here:short", OURS, kind="reward")("x") == 1
    del sys.modules["lying_here"]


def test_a_module_of_the_working_folder_does_not_come_before_an_installed_one(
    tmp_path, monkeypatch
):
    (tmp_path / "yaml.py").write_text("raise RuntimeError('the wrong one')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "yaml", raising=False)
    allow_plugins(["yaml"])
    with names_from_a_file():
        assert resolve("yaml:safe_load", OURS, kind="reward").__module__ == "yaml"


def test_is_allowed_reads_names_and_modules(monkeypatch):
    monkeypatch.setenv(VARIABLE, "my_package")
    assert [
        is_allowed(name)
        for name in ("my_package", "my_package.a:b", "my_package:b", "my_package_too:b", "my")
    ] == [
        True,
        True,
        True,
        False,
        False,
    ]


# Entry points.


def test_entry_points_are_listed_by_kind_and_name_and_nothing_is_imported(package, monkeypatch):
    folder = package / "my_package-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(
        "[vasari.reward]\nshort = my_package.rewards : short [extra]\nall = my_package.rewards\n"
        "[vasari.sampler]\nown = my_package.samplers:Own\n[vasari.window]\nx = my_package:x\n"
    )
    found = [
        (one.kind, one.name, one.value, one.package, one.can_be_named)
        for one in offered_plugins()
        if one.package == "my-package"
    ]
    assert found == [
        ("sampler", "own", "my_package.samplers:Own", "my-package", True),
        ("reward", "all", "my_package.rewards", "my-package", False),
        ("reward", "short", "my_package.rewards:short", "my-package", True),
    ]
    assert imported(package) == []
