"""Names of folders that any system has, and folders of others that are left as they are."""

import pytest

from vasari.core.errors import ConfigError, StateError, StorageError
from vasari.core.folders import default_folder, refuse_foreign, remove_temporary, resolved


@pytest.mark.parametrize("name", ["mine", "a b", "v1.2", "group/arm", "\u4e00\u4e8c", "-x", "..a"])
def test_a_plain_name_is_a_folder_below_runs(name):
    assert default_folder(name).as_posix() == f"runs/{name}"


@pytest.mark.parametrize(
    "name",
    [
        *["", ".", "..", "../../x", "/abs", "a/../../b", "a//b", "a/", "x\0y", "a\nb", "a" * 300],
        *["CON", "nul.txt", "com1", "a/LPT1", "dots.", "space ", " lead", "c:\\x", "a\\..\\b"],
        *["a:b", "what?", "\ud800"],
    ],
)
def test_a_name_that_is_no_folder_or_leads_out_is_refused_in_a_line(name):
    with pytest.raises(ConfigError, match="change `name`, or say with --out") as found:
        default_folder(name)
    assert len(str(found.value)) < 250
    assert "\n" not in str(found.value)


def test_a_link_that_leads_in_a_circle_is_said_in_a_line(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    for place in (tmp_path / "a", tmp_path / "a" / "below"):
        with pytest.raises(StorageError, match="the folder cannot be used"):
            refuse_foreign(place, is_ours=lambda _: True, command="tests")


def test_a_link_to_nowhere_is_followed(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "not yet")
    assert resolved(tmp_path / "link") == tmp_path / "not yet"


def test_a_file_or_a_path_that_is_none_is_said_in_a_line(tmp_path):
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / ("a" * 5000)):
        with pytest.raises(StorageError, match="the folder cannot be used"):
            refuse_foreign(place, is_ours=lambda _: True, command="tests")


def test_a_folder_of_others_is_refused_with_what_lies_there(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(StateError, match=r"no folder of tests \(thesis.tex\); choose another"):
        refuse_foreign(tmp_path, is_ours=lambda _: False, command="tests")
    refuse_foreign(tmp_path, is_ours=lambda _: True, command="tests")


def test_only_our_own_temporary_files_go(tmp_path):
    names = [".part.1.tmp", ".other.1.tmp", ".part.x.tmp", "part.1.tmp", "part"]
    for name in names:
        (tmp_path / name).write_text(name)
    (tmp_path / ".part.7.tmp").mkdir()
    (tmp_path / "elsewhere").write_text("kept")
    (tmp_path / ".part.8.tmp").symlink_to(tmp_path / "elsewhere")
    remove_temporary(tmp_path, {"part"}.__contains__)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [*names[1:], ".part.7.tmp", ".part.8.tmp", "elsewhere"]
    )
