"""Groups on disk: what is written comes back, and the files of 0.1.0 come under today's names."""

import math
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.core.errors import DataError
from vasari.records import PURPOSES
from vasari.train.group_file import GROUP_SCHEMA, drop_groups_from, read_groups, write_groups

OLD = Path(__file__).parents[1] / "golden" / "run_0_1_0" / "rl"
TODAY = {"probe": "screen"}


def row(**changes):
    """A group of two rollouts, one term of its reward missing for the first."""
    return {
        "batch": 2,
        "step": 4,
        "prompt_index": 1,
        "prompt_id": "q1",
        "purpose": "train",
        "role": "revisit",
        "rewards": [1.0, 0.25],
        "reward_terms": {"accuracy": [1.0, 0.0], "brevity": [math.nan, 0.25]},
        "verdicts": [1.0, 0.0],
        "decided_by": ["exact", "number"],
        "extractions": ["3", None],
        "confidence": [-0.5, -1.5],
        "num_tokens": [7, 9],
        "truncated": [False, True],
        "score": 0.5,
        "texts": ["three", "four"],
    } | changes


def old_rows(arm: str) -> list[dict]:
    """The stored rows of an arm of 0.1.0 as they are in its files."""
    return [
        found
        for file in sorted((OLD / arm / "groups").glob("*.parquet"))
        for found in pq.read_table(file).to_pylist()
    ]


def test_a_group_comes_back_as_it_was_written(tmp_path):
    write_groups(tmp_path, 2, "train", [row()])
    (found,) = read_groups(tmp_path).to_pylist(maps_as_pydicts="strict")
    assert str(found) == str(row())  # as text, since nan equals nothing


terms = st.dictionaries(st.text(), st.lists(st.floats() | st.none(), max_size=4), max_size=5)


@given(st.lists(terms, min_size=1, max_size=4))
def test_any_terms_come_back_under_their_names_in_their_order(tmp_path_factory, groups):
    folder = tmp_path_factory.mktemp("groups")
    write_groups(folder, 0, "train", [row(reward_terms=content) for content in groups])
    found = read_groups(folder, ["reward_terms"])["reward_terms"].to_pylist()
    assert str(found) == str([list(content.items()) for content in groups])


def test_rows_that_were_read_can_be_written_again(tmp_path):
    write_groups(tmp_path / "one", 0, "train", [row()])
    once = read_groups(tmp_path / "one").to_pylist()
    write_groups(tmp_path / "two", 0, "train", once)
    assert str(read_groups(tmp_path / "two").to_pylist()) == str(once)


def test_a_column_that_the_schema_does_not_have_is_refused(tmp_path):
    with pytest.raises(
        DataError, match="a stored group has no column 'accuracy_rewards'; it has batch, step"
    ):
        write_groups(tmp_path, 0, "train", [row(accuracy_rewards=[1.0, 0.0])])


def test_files_say_their_schema_and_a_later_one_is_refused(tmp_path):
    path = write_groups(tmp_path, 0, "train", [row()])
    assert pq.read_schema(path).metadata[b"vasari_schema"] == b"2"
    pq.write_table(read_groups(tmp_path).replace_schema_metadata({"vasari_schema": "3"}), path)
    with pytest.raises(DataError, match="schema '3', and this vasari reads up to 2"):
        read_groups(tmp_path)


def test_without_files_the_table_is_empty_and_has_the_columns(tmp_path):
    assert read_groups(tmp_path).schema.equals(GROUP_SCHEMA)
    assert read_groups(tmp_path / "nowhere", ["role", "batch"]).schema.names == ["role", "batch"]


@pytest.mark.parametrize("arm", ["vas", "progress"])
def test_old_groups_come_under_todays_names(arm):
    found, old = read_groups(OLD / arm / "groups"), old_rows(arm)
    assert found.schema.equals(GROUP_SCHEMA)
    assert found["purpose"].to_pylist() == [
        TODAY.get(group["purpose"], group["purpose"]) for group in old
    ]
    assert "screen" in found["purpose"].to_pylist()
    assert found["role"].to_pylist() == [
        "revisit" if group["role"] == "probe" else group["role"] for group in old
    ]
    same = [name for name in GROUP_SCHEMA.names if name not in ("purpose", "role", "reward_terms")]
    assert str(found.select(same).to_pylist()) == str(
        [{name: group[name] for name in same} for group in old]
    )


@pytest.mark.parametrize("arm", ["vas", "progress"])
def test_the_two_rewards_of_an_old_group_become_its_terms(arm):
    found = read_groups(OLD / arm / "groups", ["reward_terms"])["reward_terms"].to_pylist()
    assert found == [
        [("accuracy", group["accuracy_rewards"]), ("format", group["format_rewards"])]
        for group in old_rows(arm)
    ]


def test_the_roles_and_purposes_of_old_groups_are_those_of_today():
    found = read_groups(OLD / "progress" / "groups", ["role", "purpose"])
    assert "revisit" in found["role"].to_pylist()
    assert set(found["role"].to_pylist()) <= {"promoted", "uniform", "revisit", "refresh"}
    assert set(found["purpose"].to_pylist()) <= set(PURPOSES)


def test_a_resumed_run_of_0_1_0_has_old_and_new_files_side_by_side(tmp_path):
    shutil.copytree(OLD / "vas" / "groups", tmp_path / "groups")
    write_groups(tmp_path / "groups", 2, "train", [row()])
    found = read_groups(tmp_path / "groups", ["batch", "reward_terms", "purpose"]).to_pylist()
    assert len(found) == len(old_rows("vas")) + 1
    assert found[0]["reward_terms"] == [("accuracy", [0.0, 0.0]), ("format", [0.5, 0.5])]
    assert [name for name, _ in found[-1]["reward_terms"]] == ["accuracy", "brevity"]
    assert (
        drop_groups_from(tmp_path / "groups", 1) == 24 + 12 + 2
    )  # a refresh of 12, 2 + 4 + 4 + 2, and ours
    assert set(read_groups(tmp_path / "groups")["batch"].to_pylist()) == {0}


def test_columns_are_read_in_the_order_asked_for():
    for columns in (["texts", "batch"], ["reward_terms"], ["role", "reward_terms", "purpose"]):
        assert read_groups(OLD / "vas" / "groups", columns).schema.names == columns


def test_an_old_file_without_groups_is_read(tmp_path):
    table = pq.read_table(OLD / "vas" / "groups" / "000000-train.parquet").slice(0, 0)
    pq.write_table(table, tmp_path / "000000-train.parquet")
    assert read_groups(tmp_path).equals(GROUP_SCHEMA.empty_table())


def test_what_is_unknown_in_an_old_group_stays_unknown(tmp_path):
    table = pq.read_table(OLD / "vas" / "groups" / "000000-train.parquet").slice(0, 1)
    for name in ("accuracy_rewards", "purpose", "texts"):
        place = table.schema.get_field_index(name)
        table = table.set_column(
            place, table.schema.field(place), pa.nulls(1, table.schema.field(place).type)
        )
    pq.write_table(table, tmp_path / "000000-train.parquet")
    (found,) = read_groups(tmp_path, ["reward_terms", "purpose", "texts"]).to_pylist()
    assert found == {
        "reward_terms": [("accuracy", None), ("format", [0.5, 0.5])],
        "purpose": None,
        "texts": None,
    }
