"""Saved state: the pool it belongs to, damage, remapping, files."""

import copy
import json
import math
import subprocess
import sys

import numpy as np
import pytest

from vasari.core.errors import DataError, StateError, StorageError
from vasari.records import GroupOutcome
from vasari.sample import load_state, make_sampler, save_state

IDS = ["a", "b", "c", "d", "e", "f"]


def vas(ids=IDS, **settings):
    return make_sampler(
        "vas", num_prompts=len(ids), seed=0, prompt_ids=ids, **({"refresh": "online"} | settings)
    )


def unlike_scores(sampler):
    """Give each prompt of the pool another score: 0, 1/8 steps of pass rate."""
    for index in range(sampler.num_prompts):
        verdicts = np.array([1.0] * index + [0.0] * (8 - index))
        tokens = [[1, 2, 3]] * 8
        sampler.observe(
            [
                GroupOutcome(
                    index=index, rewards=verdicts, verdicts=verdicts, token_ids=tokens, batch=index
                )
            ]
        )
    return sampler


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (
            ["a", "b", "c", "d", "e"],
            (
                r"1 of 6 saved prompts are missing, first no\. 5 \(digest [0-9a-f]{16}\); go"
                r" on with that pool, or begin anew .*remap=True"
            ),
        ),
        ([*IDS, "g", "h"], "2 prompts are new, first 'g', 'h';"),
        (["b", "a", "c", "d", "e", "f"], "2 prompts are reordered, first break at 'a'"),
        (
            ["x", "a", "b", "c", "e", "d"],
            "1 of 6 saved.*1 prompts are new, first 'x'; 2 prompts are reordered",
        ),
        (["u", "v", "w", "x", "y", "z"], "6 of 6 saved prompts are missing.*6 prompts are new"),
    ],
)
@pytest.mark.parametrize("name", ["vas", "uniform"])
def test_a_changed_pool_is_refused_with_the_difference(name, ids, message):
    state = make_sampler(name, num_prompts=6, seed=0, prompt_ids=IDS).state_dict()
    other = make_sampler(name, num_prompts=len(ids), seed=0, prompt_ids=ids)
    with pytest.raises(StateError, match=message):
        other.load_state_dict(state)


def test_a_pool_of_another_size_is_refused_without_ids():
    state = make_sampler("uniform", num_prompts=6, seed=0).state_dict()
    with pytest.raises(StateError, match="6 prompts, this one has 7"):
        make_sampler("uniform", num_prompts=7, seed=0).load_state_dict(state)
    with pytest.raises(StateError, match="without prompt ids cannot be mapped"):
        make_sampler("uniform", num_prompts=7, seed=0).load_state_dict(state, remap=True)


@pytest.mark.parametrize("first", [None, IDS])
def test_pools_with_and_without_ids_are_not_compared(first):
    one = make_sampler("uniform", num_prompts=6, seed=0, prompt_ids=first)
    other = make_sampler("uniform", num_prompts=6, seed=0, prompt_ids=None if first else IDS)
    with pytest.raises(StateError, match=r"has prompt ids and .* has none"):
        other.load_state_dict(one.state_dict())


def test_remapping_carries_scores_by_id():
    state = unlike_scores(vas()).state_dict()
    scores = unlike_scores(vas()).scores()
    other = vas(["new", "f", "b", "a"])
    other.load_state_dict(state, remap=True)
    np.testing.assert_allclose(other.scores(), [0.4, scores[5], scores[1], scores[0]])


def test_remapping_a_running_pass_visits_the_unvisited_and_the_new():
    one = make_sampler("uniform", num_prompts=6, seed=3, prompt_ids=IDS)
    visited = {IDS[index] for index in one.draw(3).indices}
    ids = ["new", *reversed(IDS)]
    other = make_sampler("uniform", num_prompts=7, seed=0, prompt_ids=ids)
    other.load_state_dict(one.state_dict(), remap=True)
    assert {ids[index] for index in other.draw(4).indices} == set(ids) - visited


def test_remapping_onto_the_same_pool_changes_nothing():
    one = unlike_scores(vas())
    other = vas()
    other.load_state_dict(one.state_dict(), remap=True)
    assert other.draw(4).indices.tolist() == one.draw(4).indices.tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.update(schema=3), "schema 3, expected 2"),
        (
            lambda state: state.update(sampler="uniform"),
            "state is of sampler 'uniform', not of 'vas'",
        ),
        (lambda state: state.pop("rng"), "damaged: KeyError: 'rng'"),
        (lambda state: state.update(rng={"bit_generator": "MT19937"}), "damaged"),
        (lambda state: state.update(state=None), "damaged"),
        (lambda state: state["state"].update(batch=math.inf), "damaged: OverflowError"),
        (lambda state: state["state"].pop("ovs"), "'ovs' is missing"),
        (lambda state: state["state"].update(ovs=np.zeros(3)), "'ovs' has 3 entries for 6 prompts"),
        (lambda state: state["state"].update(tds=np.zeros((6, 1))), "expected a vector"),
        (lambda state: state["state"].update(tds=["x"] * 6), "holds no numbers"),
        (lambda state: state["state"].update(ovs=np.full(6, -1.0)), "negative or infinite"),
        (
            lambda state: state["state"]["passes"].update(order=np.zeros(6, dtype=int)),
            "no permutation",
        ),
        (lambda state: state["state"]["passes"].update(cursor=7), "its cursor 7 lies outside"),
        (lambda state: state["state"]["passes"].update(owed=[9]), "outside the pool"),
    ],
)
def test_damaged_state_is_refused_and_changes_nothing(change, message):
    sampler, twin = unlike_scores(vas()), unlike_scores(vas())
    state = copy.deepcopy(sampler.state_dict())
    change(state)
    with pytest.raises(StateError, match=message):
        sampler.load_state_dict(state)
    assert sampler.draw(4).indices.tolist() == twin.draw(4).indices.tolist()


def test_what_is_no_state_is_refused():
    with pytest.raises(StateError, match="schema None"):
        vas().load_state_dict([])


def test_ids_must_be_one_a_prompt_and_unique():
    with pytest.raises(DataError, match="2 prompt ids for 3 prompts"):
        make_sampler("uniform", num_prompts=3, seed=0, prompt_ids=["a", "b"])
    with pytest.raises(DataError, match="'b' stands twice"):
        make_sampler("uniform", num_prompts=3, seed=0, prompt_ids=["a", "b", "b"])


def test_a_saved_state_comes_back_as_it_was(tmp_path):
    state = unlike_scores(vas()).state_dict()
    save_state(tmp_path / "sampler.npz", state)
    loaded = load_state(tmp_path / "sampler.npz")
    assert json.dumps(loaded, default=np.ndarray.tolist) == json.dumps(
        state, default=np.ndarray.tolist
    )
    assert [path.name for path in tmp_path.iterdir()] == ["sampler.npz"]


def test_nested_lists_and_numpy_numbers_can_be_saved(tmp_path):
    save_state(tmp_path / "s.npz", {"list": [np.int64(3), {"inner": np.arange(2)}], "none": None})
    loaded = load_state(tmp_path / "s.npz")
    assert (loaded["list"][0], loaded["list"][1]["inner"].tolist(), loaded["none"]) == (
        3,
        [0, 1],
        None,
    )


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"a": object()}, "not JSON serializable"),
        ({"a": np.array([None])}, "array of objects"),
        ({1: 2}, "has the key 1"),
    ],
)
def test_what_cannot_be_saved_is_refused(tmp_path, state, message):
    with pytest.raises(StateError, match=message):
        save_state(tmp_path / "s.npz", state)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn", b"{}"])
def test_a_damaged_file_is_refused(tmp_path, content):
    (tmp_path / "s.npz").write_bytes(content)
    with pytest.raises(StateError, match="not a saved state, or damaged"):
        load_state(tmp_path / "s.npz")


def test_pickles_are_not_opened(tmp_path):
    np.savez(tmp_path / "s.npz", header=np.array([{"a": 1}], dtype=object))
    with pytest.raises(StateError, match="not a saved state, or damaged"):
        load_state(tmp_path / "s.npz")


def test_a_torn_file_is_refused(tmp_path):
    path = tmp_path / "s.npz"
    save_state(path, vas().state_dict())
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(StateError, match="not a saved state, or damaged"):
        load_state(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(StateError, match=r"s\.npz: no saved state here"):
        load_state(tmp_path / "s.npz")


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="could not be written"):
        save_state(tmp_path / "file" / "s.npz", {})


FULL_DISK = """
import resource, sys
import numpy as np
from vasari.core.errors import StorageError
from vasari.sample import load_state, save_state

save_state(sys.argv[1], {"x": np.arange(3)})
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    save_state(sys.argv[1], {"x": np.arange(100_000)})
except StorageError as error:
    print("refused:", error)
print(load_state(sys.argv[1])["x"].tolist())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs RLIMIT_FSIZE")
def test_a_disk_that_refuses_leaves_the_state_saved_before(tmp_path):
    path = tmp_path / "s.npz"
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[0].startswith(f"refused: {path}: could not be written")
    assert done.stdout.splitlines()[1] == "[0, 1, 2]"
    assert [entry.name for entry in tmp_path.iterdir()] == ["s.npz"]


def test_state_of_a_million_prompts_is_small():
    sampler = make_sampler("vas", num_prompts=200_000, seed=0, prompt_ids=map(str, range(200_000)))
    state = sampler.state_dict()
    arrays = [*state["pool"].values(), *state["state"].values(), *state["state"]["passes"].values()]
    num_bytes = sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))
    assert num_bytes * 8 < 64 * 2**20  # 1.6 million prompts
