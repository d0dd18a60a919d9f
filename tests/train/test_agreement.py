"""What two processes compare before a training, in two threads of this one: no training, no torchrun.

`tests/drop_in/test_machines.py` does the same with two torchruns.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from vasari.core.errors import ConfigError, StateError
from vasari.core.records import Prompt
from vasari.data.prompt_file import write_prompts
from vasari.run.prompts import SPLITS
from vasari.run.recipe import parse_recipe
from vasari.run.together import open_together
from vasari.train import agreement
from vasari.train.agreement import (
    compare_clocks,
    require_same,
    require_same_rows,
    require_same_versions,
    require_shared,
)
from vasari.train.processes import Processes


class Paired(Processes):
    """One of two processes that are threads."""

    held: dict[int, Any]
    barrier: threading.Barrier

    def gather(self, value: Any) -> list[Any]:
        self.held[self.rank] = value
        self.barrier.wait()
        found = [self.held[rank] for rank in range(self.count)]
        self.barrier.wait()
        return found


def in_both(work: Callable[[Processes], Any]) -> list[Any]:
    """What `work` returned in each of two processes, or the error with which it ended."""

    class Pair(Paired):
        held: dict[int, Any] = {}  # noqa: RUF012  (of this pair alone)
        barrier = threading.Barrier(2, timeout=60)

    def tried(rank: int) -> Any:
        try:
            return work(Pair(rank=rank, count=2, host="ab"[rank]))
        except Exception as error:  # noqa: BLE001  (what the tests look at)
            return error

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(tried, (0, 1)))


def lines(ended: list[Any]) -> list[str]:
    """The same refusal in both processes."""
    assert [type(error) for error in ended] == [StateError] * 2, ended
    return [str(error) for error in ended]


def test_what_is_the_same_is_let_through():
    assert in_both(lambda of: require_same(of, {"a": [1, {"b": 2}]}, advice="?")) == [None] * 2
    assert in_both(require_same_versions) == [None] * 2


def test_the_setting_that_differs_is_named_in_both():
    def steps(of: Processes) -> None:
        own = {"name": "x", "grpo": {"steps": 3 + 2 * of.rank}}
        require_same(of, own, advice="give every machine the same recipe")

    for said in lines(in_both(steps)):
        assert said == (
            "process 1 on b: grpo.steps is 5, and 3 in process 0 on a; give every machine the same"
            " recipe"
        )


def test_other_code_is_named(monkeypatch):
    monkeypatch.setattr(agreement, "code_digest", lambda: threading.current_thread().name)
    for said in lines(in_both(require_same_versions)):
        assert said.startswith("process 1 on b: code of vasari is ")
        assert said.endswith("install the same on every machine")


@pytest.mark.parametrize(
    ("ids", "digests", "says"),
    [
        (["p", "q"], [1, 2], None),
        (["p"], [1], "pool has 1 prompts, and 2 in process 0 on a; first other one: no. 1, none"),
        (["p", "z"], [1, 9], "first other one: no. 1, 'z', there 'q'; give every machine"),
        (["p", "q"], [1, 9], "no. 1, 'q', there 'q', with other content"),
    ],
)
def test_the_first_other_prompt_is_named(ids, digests, says):
    held = [(["p", "q"], [1, 2]), (ids, digests)]

    def rows(of: Processes) -> None:
        names, contents = held[of.rank]
        require_same_rows(of, "pool", names, np.array(contents, np.uint64))

    ended = in_both(rows)
    if says is None:
        assert ended == [None] * 2
    else:
        assert all(says in said for said in lines(ended))


def test_a_folder_that_is_not_shared_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(agreement, "_SHARED_WITHIN_SECONDS", 0.3)
    places = [tmp_path / "a", tmp_path / "b"]
    for place in places:
        place.mkdir()
    assert in_both(lambda of: require_shared(of, places[0])) == [None] * 2
    for said in lines(in_both(lambda of: require_shared(of, places[of.rank]))):
        assert "--out must be on a disk that all machines share" in said
    assert [list(place.iterdir()) for place in places] == [[], []]


@pytest.mark.parametrize(("offset", "says"), [(100, "100 s ahead of"), (-100, "100 s behind")])
def test_a_clock_that_differs_is_told_once(offset, says, monkeypatch, caplog):
    class Clock:
        """A clock that is told whose it is."""

        rank = threading.local()

        @classmethod
        def time(cls) -> float:
            return 1e9 + offset * cls.rank.value

    def clocks(of: Processes) -> None:
        Clock.rank.value = of.rank
        compare_clocks(of)

    monkeypatch.setattr(agreement, "time", Clock)
    assert in_both(clocks) == [None] * 2
    assert len(caplog.messages) == 1
    assert f"process 1 on b: its clock is {says} that of process 0 on a" in caplog.text


@pytest.mark.parametrize("failing", [0, 1])
@pytest.mark.parametrize("call", [Processes.everywhere, Processes.main_first])
def test_where_one_fails_the_other_ends_with_its_line(call, failing):
    def work(of: Processes) -> int:
        if of.rank == failing:
            raise ConfigError("no such recipe")
        return of.rank

    ended = in_both(lambda of: call(of, lambda: work(of)))
    assert type(ended[failing]) is ConfigError
    assert str(ended[1 - failing]) == f"process {failing} on {'ab'[failing]}: no such recipe"


def test_the_main_one_is_first():
    order: list[int] = []
    assert in_both(lambda of: of.main_first(lambda: order.append(of.rank) or of.rank)) == [0, 1]
    assert order == [0, 1]


@pytest.mark.parametrize("files", [("train",), ("train", "cold_start"), ("train", "test")])
def test_a_first_start_from_files_is_the_same_in_both(files, tmp_path):
    """The first process splits the files, the others read what it wrote."""
    for name in files:
        prompts = [Prompt(id=f"{name}{n}", question=f"{n}?", answer=str(n)) for n in range(8)]
        write_prompts(tmp_path / f"{name}.parquet", prompts)
    recipe = parse_recipe(
        {
            "name": "two",
            "prompts": {"files": {name: f"{name}.parquet" for name in files}},
            "model": {"path": "vasari:tiny-base"},
        },
        where="two.yaml",
    )

    def opened(of: Processes) -> Any:
        return open_together(of, recipe, tmp_path / "run", recipe_folder=tmp_path, options={})[1]

    for _ in ("a first start", "a second one"):
        one, other = in_both(opened)
        assert not isinstance(one, Exception), one
        assert list(one) == list(other) == [name for name in SPLITS if name in one]
        assert [[p.id for p in of] for of in one.values()] == [
            [p.id for p in of] for of in other.values()
        ]
