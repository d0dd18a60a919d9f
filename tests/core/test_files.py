"""Files are written whole or not at all; JSON; appended lines."""

import numpy as np
import pytest

from vasari.core.errors import StorageError
from vasari.core.files import (
    append_lines,
    read_json,
    write_bytes,
    write_json,
    write_json_lines,
    writing,
    writing_folder,
)


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "new" / "rows.bin"
    with writing(path) as file:
        file.write(b"one")
        assert not path.exists()
        file.write(b" two")
    assert path.read_bytes() == b"one two"
    assert names(path.parent) == ["rows.bin"]


def test_an_error_in_the_block_keeps_the_old_file_and_leaves_no_other(tmp_path):
    path = tmp_path / "rows.bin"
    write_bytes(path, b"old")
    with pytest.raises(ZeroDivisionError, match="zero"), writing(path) as file:
        file.write(b"%d" % (1 // 0))
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["rows.bin"]


def test_a_full_disk_keeps_the_old_file_and_is_named(tmp_path, largest_file):
    path = tmp_path / "rows.bin"
    write_bytes(path, b"old")
    refused = pytest.raises(StorageError, match=r"rows\.bin: could not be written: File too large")
    with largest_file(100), refused:
        write_bytes(path, b"x" * 1000)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["rows.bin"]


@pytest.mark.parametrize("write", [lambda p: write_bytes(p, b""), lambda p: append_lines(p, [""])])
def test_a_folder_that_cannot_be_made_is_named(tmp_path, write):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"rows\.bin: could not be written"):
        write(tmp_path / "file" / "rows.bin")


def fill(path, content):
    with writing_folder(path) as folder:
        folder.mkdir()
        (folder / "a").write_text(content)


def test_a_folder_is_replaced_when_the_block_ends(tmp_path):
    fill(tmp_path / "best", "old")
    fill(tmp_path / "best", "new")
    assert (tmp_path / "best" / "a").read_text() == "new"
    assert names(tmp_path) == ["best"]


def test_an_error_in_the_block_keeps_the_old_folder(tmp_path):
    fill(tmp_path / "best", "old")
    with pytest.raises(TypeError, match="must be str"):
        fill(tmp_path / "best", None)
    assert (tmp_path / "best" / "a").read_text() == "old"
    assert names(tmp_path) == ["best"]


def test_a_crash_between_the_renames_is_mended(tmp_path):
    fill(tmp_path / ".best.vasari-old", "old")
    with pytest.raises(TypeError, match="must be str"):
        fill(tmp_path / "best", None)
    assert (tmp_path / "best" / "a").read_text() == "old"


def test_folders_of_others_beside_it_are_left(tmp_path):
    fill(tmp_path / "best.old", "mine")
    fill(tmp_path / "best.writing", "mine")
    fill(tmp_path / "best", "new")
    for name in ("best.old", "best.writing"):
        assert (tmp_path / name / "a").read_text() == "mine"


def test_arrays_and_paths_become_json_and_nan_is_refused(tmp_path):
    path = tmp_path / "facts.json"
    write_json(path, {"array": np.arange(2), "number": np.float64(0.5), "path": tmp_path})
    assert read_json(path) == {"array": [0, 1], "number": 0.5, "path": str(tmp_path)}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"number": float("nan")})
    with pytest.raises(TypeError, match="object is not JSON"):
        write_json(path, {"thing": object()})
    assert read_json(path)["number"] == 0.5


def test_rows_are_written_one_a_line_or_not_at_all(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_json_lines(path, ({"n": n} for n in range(2)))
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_json_lines(path, [{"n": 3}, {"n": object()}])
    assert path.read_text() == '{"n": 0}\n{"n": 1}\n'
    assert list(tmp_path.iterdir()) == [path]


def test_lines_are_appended(tmp_path):
    path = tmp_path / "log" / "rows.jsonl"
    append_lines(path, ["1\n", "2\n"])
    append_lines(path, ["3\n"])
    assert path.read_text() == "1\n2\n3\n"
