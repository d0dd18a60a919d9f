"""A worker works only where it sees the folders of the driver; "there" is played by the same
process after a change."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.cluster.shared_folders import check_folders, share_folders
from vasari.core.errors import StateError, StorageError


@pytest.fixture
def data(tmp_path) -> Path:
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    for number in range(40):
        (folder / f"{number:02d}.json").write_text("x" * number)
    return folder


def test_a_process_that_sees_the_same_folders_may_work(tmp_path, data):
    with share_folders(tmp_path / "run", [data]) as folders:
        check_folders(folders)

    assert list((tmp_path / "run").iterdir()) == []


def test_the_folder_of_the_run_is_made(tmp_path):
    with share_folders(tmp_path / "new" / "run", []):
        assert (tmp_path / "new" / "run").is_dir()


def test_a_folder_of_the_same_name_on_another_disk_is_told_from_the_runs(tmp_path):
    with share_folders(tmp_path / "run", []) as folders:
        shutil.rmtree(tmp_path / "run")
        (tmp_path / "run").mkdir()

        with pytest.raises(
            StateError,
            match=r"run is not visible there: --out must be on a disk that all machines share",
        ):
            check_folders(folders)


def test_the_file_of_another_run_does_not_stand_for_this_one(tmp_path):
    with share_folders(tmp_path / "run", []) as folders:
        folders.token.write_text("of another run")

        with pytest.raises(StateError, match=r"is not visible there"):
            check_folders(folders)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_can_only_be_read_is_refused(tmp_path):
    with share_folders(tmp_path / "run", []) as folders:
        (tmp_path / "run").chmod(0o500)
        try:
            with pytest.raises(StateError, match=r"cannot be written to there: Permission denied"):
                check_folders(folders)
        finally:
            (tmp_path / "run").chmod(0o700)


def test_a_run_that_cannot_have_a_folder_is_refused(tmp_path):
    (tmp_path / "file").touch()

    with (
        pytest.raises(StorageError, match=r"the folder cannot be used: Not a directory"),
        share_folders(tmp_path / "file" / "x", []),
    ):
        pass


def test_an_empty_folder_where_data_should_be_mounted_is_refused(tmp_path, data):
    with share_folders(tmp_path / "run", [data]) as folders:
        shutil.rmtree(data)
        data.mkdir()

        # The first of 41 names in order is one of those that are looked for.
        with pytest.raises(
            StateError,
            match=r"data is not visible there as it is here \(00\.json is missing or another\)",
        ):
            check_folders(folders)


def test_a_data_folder_that_is_missing_is_refused_though_it_is_empty_here(tmp_path):
    (tmp_path / "data").mkdir()
    with share_folders(tmp_path / "run", [tmp_path / "data"]) as folders:
        (tmp_path / "data").rmdir()

        with pytest.raises(
            StateError,
            match=r"data is not visible there as it is here: sources and benchmarks must lie",
        ):
            check_folders(folders)


def test_an_older_copy_with_files_of_another_size_is_refused(tmp_path, data):
    with share_folders(tmp_path / "run", [data]) as folders:
        (data / "00.json").write_text("not empty any more")

        with pytest.raises(StateError, match=r"\(00\.json is missing or another\)"):
            check_folders(folders)


def test_data_that_is_not_here_is_left_to_the_stage_that_reads_it(tmp_path):
    with share_folders(tmp_path / "run", [tmp_path / "gone"]) as folders:
        assert folders.data == ()
        check_folders(folders)


def test_another_version_is_refused_by_both_numbers(tmp_path):
    with share_folders(tmp_path / "run", []) as folders:
        other = dataclasses.replace(folders, version="0.0.1")

        with pytest.raises(
            StateError, match=r"vasari is \S+ there and 0\.0\.1 here: install the same version"
        ):
            check_folders(other)


@given(st.integers(0, 200))
def test_at_most_sixteen_entries_stand_for_a_folder_and_the_first_is_among_them(
    tmp_path_factory, count
):
    folder = tmp_path_factory.mktemp("data")
    for number in range(count):
        (folder / f"{number:03d}").touch()

    with share_folders(folder / "run", [folder]) as folders:
        (found,) = folders.data

    assert len(found.entries) <= 16
    assert (count == 0) or found.entries[0] == ("000", 0)
