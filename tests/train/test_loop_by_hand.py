"""Batches of the loop worked out by hand, on one process and on two, with rollouts that a script
says."""

import math
import subprocess
import sys

import numpy as np
import pytest

from vasari.records import Draw, Outcome, Verdict
from vasari.sample import PromptSampler, make_gate, make_sampler
from vasari.score.reward import Reward
from vasari.train.groups import ScoredRollout
from vasari.train.loop import Loop, LoopOptions
from vasari.train.run_state import RunState

GROUP = 4
RIGHT, WRONG, MIXED, MIXED_LATE = [1, 1, 1, 1], [0, 0, 0, 0], [1, 0, 0, 1], [0, 0, 1, 1]
TOKENS = 3
"""Of every rollout."""
ZERO = {"train": 0, "refresh": 0, "screen": 0, "discarded": 0}


class InOrder(PromptSampler):
    """Draws the pool in its order, and keeps what it is told: (prompt, rollouts, purpose, batch) of
    each group."""

    def __init__(self, num_prompts):
        super().__init__(num_prompts=num_prompts, seed=0)
        self.told = []
        self._next = 0

    def due(self, batch):
        return np.zeros(0, dtype=np.int64)

    def metrics(self):
        return {"sampler/drawn": self._next}

    def scores(self):
        return np.arange(self.num_prompts) / 10

    def _draw(self, num_prompts):
        indices = (self._next + np.arange(num_prompts)) % self.num_prompts
        self._next += num_prompts
        return Draw(indices, ("promoted",) * num_prompts)

    def _observe(self, groups):
        self.told += [
            (group.index, group.num_rollouts, group.purpose, group.batch) for group in groups
        ]

    def _state(self):
        return {}

    def _restore(self, state, origin):
        pass


class Scripted:
    """An engine of one process: the rollouts of a prompt get the verdicts of its row, one after the
    other."""

    num_processes = 1

    def __init__(self, script):
        self.calls = []
        self._script = script
        self._drawn = []

    def on_main(self, decide):
        return decide()

    def refresh(self, indices, num_rollouts, *, batch):
        self.calls.append(("refresh", indices.tolist(), num_rollouts, batch))
        return [self._rollouts(index, num_rollouts) for index in indices.tolist()]

    def roll_out(self, indices, num_screening):
        self.calls.append(("roll_out", indices.tolist(), num_screening))
        self._drawn += indices.tolist()
        return [self._rollouts(index, num_screening or GROUP) for index in indices.tolist()]

    def complete(self, slots):
        self.calls.append(
            (
                "complete",
                [[(self._drawn[slot.group], slot.commits) for slot in own] for own in slots],
            )
        )
        whole = [
            self._rollouts(self._drawn[slot.group], GROUP)
            for own in slots
            for slot in own
            if slot.commits
        ]
        self._drawn = []
        return whole

    def keep(self, places):
        self.calls.append(("keep", places))
        self._drawn = []

    def silence(self, places):
        self.silent = places

    def _rollouts(self, index, num):
        return [rollout(index, value) for value in self._script[index][:num]]


def rollout(index, value):
    """A rollout whose reward is its verdict; nan is an unverifiable one."""
    known = Outcome.CORRECT if value == 1 else Outcome.INCORRECT
    return ScoredRollout(
        index=index,
        text="",
        token_ids=(1, 2, 3),
        verdict=Verdict(Outcome.UNVERIFIABLE if math.isnan(value) else known),
        reward=Reward(float(value), {"accuracy": float(value)}),
    )


def make_loop(script, gate="all", *, sampler=None, engine=None, **options):
    """A loop over a pool of this script, and the list of what it has kept: (prompt, purpose, role,
    score, batch)."""
    kept = []

    def record(groups, batch):
        kept.extend((g.rollouts[0].index, g.purpose, g.role, g.score, batch) for g in groups)

    settings = {"num_screening": 2, "num_rollouts": GROUP} if gate == "two_stage" else {}
    run = RunState(sampler=sampler or InOrder(len(script)), gate=make_gate(gate, **settings))
    return Loop(run, engine or Scripted(script), LoopOptions(record=record, **options)), kept


def spent(loop):
    """Rollouts by purpose; the tokens must be as many times three."""
    rollouts = dict(loop.run.ledger.rollouts)
    assert dict(loop.run.ledger.tokens) == {
        name: TOKENS * count for name, count in rollouts.items()
    }
    return rollouts


def test_without_a_gate_every_drawn_group_is_observed_charged_and_kept_once():
    loop, kept = make_loop([MIXED, WRONG, RIGHT, WRONG, MIXED, MIXED])
    metrics = [dict(loop.next_batch(3)) for _ in range(2)]
    engine, sampler = loop._engine, loop.run.sampler
    assert engine.calls == [
        ("roll_out", [0, 1, 2], 0),
        ("keep", [[0, 1, 2]]),
        ("roll_out", [3, 4, 5], 0),
        ("keep", [[0, 1, 2]]),
    ]
    assert sampler.told == [(index, GROUP, "train", index // 3) for index in range(6)]
    assert kept == [(index, "train", "promoted", index / 10, index // 3) for index in range(6)]
    assert spent(loop) == ZERO | {"train": 24}
    assert loop.run.batch == 2
    # By hand: two of the groups 0 to 2 are silent, and one of the groups 3 to 5.
    assert [own["zero_variance_share"] for own in metrics] == pytest.approx([2 / 3, 1 / 3])
    assert {
        "batch": 1.0,
        "unverifiable_share": 0.0,
        "generations": 1.0,
        "trained_share": 1.0,
    }.items() <= metrics[1].items()
    assert {
        "ledger/rollouts/train": 24.0,
        "ledger/tokens/train": 72.0,
        "sampler/drawn": 6.0,
    }.items() <= metrics[1].items()


def test_a_group_with_one_verifiable_rollout_is_observed_and_does_not_train():
    nan = math.nan
    loop, kept = make_loop([MIXED, [nan, nan, nan, 1], [nan, 1, 0, 1]])
    metrics = loop.next_batch(3)
    assert [purpose for _, purpose, *_ in kept] == ["train", "discarded", "train"]
    assert [index for index, *_ in loop.run.sampler.told] == [0, 1, 2]
    assert spent(loop) == ZERO | {"train": 8, "discarded": 4}
    assert metrics["unverifiable_share"] == pytest.approx(4 / 12)
    assert metrics["trained_share"] == pytest.approx(2 / 3)
    # The group of one reward has no variance either.
    assert metrics["zero_variance_share"] == pytest.approx(1 / 3)


def test_refused_groups_are_replaced_until_the_batch_is_full():
    loop, kept = make_loop([MIXED, RIGHT, MIXED, WRONG, MIXED, MIXED], "mixed")
    metrics = loop.next_batch(3)
    assert loop._engine.calls == [
        ("roll_out", [0, 1, 2], 0),
        ("roll_out", [3], 0),
        ("roll_out", [4], 0),
        ("keep", [[0, 2, 4]]),
    ]
    assert loop.run.sampler.told == [(index, GROUP, "train", 0) for index in range(5)]
    assert [(index, purpose) for index, purpose, *_ in kept] == [
        (0, "train"),
        (1, "discarded"),
        (2, "train"),
        (3, "discarded"),
        (4, "train"),
    ]
    assert spent(loop) == ZERO | {"train": 12, "discarded": 8}
    assert (metrics["generations"], metrics["trained_share"], metrics["zero_variance_share"]) == (
        3,
        3 / 5,
        2 / 5,
    )


def test_when_the_generations_are_spent_refused_groups_fill_the_batch_and_are_discarded():
    loop, kept = make_loop([WRONG, MIXED, WRONG, RIGHT, RIGHT], "mixed", max_generations=2)
    metrics = loop.next_batch(3)
    assert loop._engine.calls[1:] == [("roll_out", [3, 4], 0), ("keep", [[0, 1, 2]])]
    assert [index for index, purpose, *_ in kept if purpose == "train"] == [1]
    assert spent(loop) == ZERO | {"train": 4, "discarded": 16}
    assert metrics["trained_share"] == pytest.approx(1 / 5)


def test_a_prompt_is_screened_first_and_observed_once_with_all_its_rollouts():
    """Screenings are the first two verdicts: of prompts 0 and 4 they differ. 3 is mixed, but not in
    these two."""
    loop, kept = make_loop([MIXED, WRONG, RIGHT, MIXED_LATE, MIXED], "two_stage", max_generations=9)
    metrics = loop.next_batch(2)
    assert loop._engine.calls == [
        ("roll_out", [0, 1], 2),
        ("roll_out", [2], 2),
        ("roll_out", [3], 2),
        ("roll_out", [4], 2),
        ("complete", [[(0, True), (4, True)]]),
    ]
    refused = [(index, 2, "screen", 0) for index in (1, 2, 3)]
    assert loop.run.sampler.told == [*refused, (0, GROUP, "train", 0), (4, GROUP, "train", 0)]
    assert kept == [
        (index, "train" if index in (0, 4) else "screen", "promoted", pytest.approx(index / 10), 0)
        for index in range(5)
    ]
    assert spent(loop) == ZERO | {"train": 8, "screen": 6}
    assert (metrics["generations"], metrics["trained_share"], metrics["zero_variance_share"]) == (
        4,
        2 / 5,
        3 / 5,
    )


def test_a_screening_that_promised_in_vain_is_observed_as_a_screening():
    """Three times as many candidates as places: 0, 1, 3 and 5 promise variance, and the earliest
    two of them go on."""
    script = [MIXED, MIXED, WRONG, MIXED, RIGHT, MIXED]
    loop, kept = make_loop(script, "two_stage", candidates=3.0)
    loop.next_batch(2)
    assert loop._engine.calls == [
        ("roll_out", [0, 1, 2, 3, 4, 5], 2),
        ("complete", [[(0, True), (1, True)]]),
    ]
    assert loop.run.sampler.told == [
        (2, 2, "screen", 0),
        (4, 2, "screen", 0),
        (0, GROUP, "train", 0),
        (1, GROUP, "train", 0),
        (3, 2, "screen", 0),
        (5, 2, "screen", 0),
    ]
    assert [purpose for _, purpose, *_ in kept] == ["train"] * 2 + ["screen"] * 4
    assert spent(loop) == ZERO | {"train": 8, "screen": 8}


def test_prompts_are_scored_before_they_are_drawn_and_anew_every_so_many_batches():
    """With alpha 1, beta 0 and all places promoted, a prompt's score is p (1 - p) of its refresh:
    1/4 of 1 and 4, else 0."""
    settings = {
        "refresh_every": 2,
        "num_refresh_rollouts": 2,
        "alpha": 1.0,
        "beta": 0.0,
        "mix_ratio": 1.0,
    }
    sampler = make_sampler("vas", num_prompts=6, seed=0, **settings)
    loop, kept = make_loop([WRONG, MIXED, RIGHT, WRONG, MIXED, RIGHT], sampler=sampler)
    for _ in range(3):
        metrics = loop.next_batch(2)
    refreshes = [call for call in loop._engine.calls if call[0] == "refresh"]
    assert refreshes == [
        ("refresh", [0, 1, 2, 3, 4, 5], 2, 0),
        ("refresh", [0, 1, 2, 3, 4, 5], 2, 2),
    ]
    assert loop._engine.calls[0] == refreshes[0]
    scored, trained = (
        [own for own in kept if own[1] == purpose] for purpose in ("refresh", "train")
    )
    assert [(index, role, batch) for index, _, role, _, batch in scored] == [
        (i, "refresh", b) for b in (0, 2) for i in range(6)
    ]
    assert sorted((batch, index, role, score) for index, _, role, score, batch in trained) == [
        (batch, index, "promoted", 0.25) for batch in range(3) for index in (1, 4)
    ]
    assert spent(loop) == ZERO | {"train": 24, "refresh": 24}
    # A refresh is in no share of the batch.
    assert (metrics["zero_variance_share"], metrics["trained_share"]) == (0, 1)


class Process(Scripted):
    """One of two processes: the main one decides, the other takes over what was decided, in the
    same order."""

    num_processes = 2

    def __init__(self, script, decided, *, is_main):
        super().__init__(script)
        self._decided = decided
        self._is_main = is_main

    def on_main(self, decide):
        if self._is_main:
            self._decided.append(decide())
            return self._decided[-1]
        return self._decided.pop(0)


@pytest.mark.parametrize(
    ("gate", "expected"),
    [
        ("all", [("roll_out", [0, 1, 2, 3], 0), ("keep", [[0, 1], [0, 1]])]),
        # Process 0 lacks one group and process 1 none: both roll out one more, and prompt 5 has no
        # place.
        (
            "mixed",
            [("roll_out", [0, 1, 2, 3], 0), ("roll_out", [4, 5], 0), ("keep", [[0, 2], [0, 1]])],
        ),
        ("two_stage", [("roll_out", [0, 1, 2, 3], 2), ("roll_out", [4, 5], 2)]),
    ],
)
def test_two_processes_take_the_same_steps_and_only_the_main_one_decides(gate, expected):
    script = [MIXED, WRONG, MIXED, MIXED, MIXED, MIXED, WRONG, MIXED]
    decided = []
    main, other = (
        make_loop(
            script, gate, engine=Process(script, decided, is_main=is_main), max_generations=2
        )[0]
        for is_main in (True, False)
    )
    metrics = main.next_batch(4)
    assert other.next_batch(4) == metrics
    assert decided == []
    assert main._engine.calls == other._engine.calls
    assert main._engine.calls[: len(expected)] == expected
    assert (main.run.batch, other.run.batch) == (1, 1)
    assert (other.run.sampler.told, spent(other)) == ([], ZERO)
    assert len(main.run.sampler.told) == len(script[:4]) + 2 * (gate != "all")


def test_two_processes_share_the_promising_prompts():
    """Screened in turns by both processes, prompts 0, 2, 3, 4 go on: the first two in one process,
    the others in the other."""
    script = [MIXED, WRONG, MIXED, MIXED, MIXED, MIXED, WRONG, MIXED]
    loop, kept = make_loop(script, "two_stage", engine=Process(script, [], is_main=True))
    loop.next_batch(4)
    assert loop._engine.calls[-1] == ("complete", [[(0, True), (2, True)], [(3, True), (4, True)]])
    assert [index for index, purpose, *_ in kept if purpose == "screen"] == [1, 5]
    assert spent(loop) == ZERO | {"train": 16, "screen": 4}


def run_every_gate():
    """A batch under each gate, with a sampler that refreshes."""
    for gate in ("all", "mixed", "two_stage"):
        sampler = make_sampler("vas", num_prompts=4, seed=0, num_refresh_rollouts=2)
        make_loop([MIXED, WRONG, MIXED, MIXED], gate, sampler=sampler)[0].next_batch(2)


def test_a_batch_under_each_gate_needs_neither_torch_nor_trl():
    code = (
        "import runpy, sys;"
        f" runpy.run_path({__file__!r})['run_every_gate']()\nprint(sorted({{'torch', 'trl',"
        " 'transformers', 'accelerate', 'datasets'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr
