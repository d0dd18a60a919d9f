"""The algorithm alone: what is drawn, observed, charged and trained on, with a scripted policy and
without torch."""

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from vasari.records import Outcome, Verdict
from vasari.sample import make_gate, make_sampler
from vasari.score.reward import Reward
from vasari.train.groups import ScoredRollout
from vasari.train.loop import Loop, LoopOptions
from vasari.train.run_state import RunState

POOL, BATCH, GROUP = 24, 6, 4
GATES = {"all": {}, "mixed": {}, "two_stage": {"num_screening": 2, "num_rollouts": GROUP}}


class Scripted:
    """Solves prompt i at the rate i / (POOL - 1): rollout number n of a prompt is right or wrong,
    whoever rolls it out."""

    def __init__(self, num_processes=1):
        self.num_processes = num_processes
        self.trained = []
        self.refreshed = []
        self.silent = []
        self.generated = Counter()
        self._numbers = Counter()

    def on_main(self, decide):
        return decide()

    def refresh(self, indices, num_rollouts, *, batch):
        self.refreshed.append((batch, indices.tolist()))
        return [self._rollouts(index, num_rollouts) for index in indices.tolist()]

    def roll_out(self, indices, num_screening):
        assert len(indices) % self.num_processes == 0
        self._screened = [
            self._rollouts(index, num_screening or GROUP) for index in indices.tolist()
        ]
        self._generated = getattr(self, "_generated", []) + self._screened
        return self._screened

    def complete(self, slots):
        assert len({len(own) for own in slots}) == 1
        places = [slot for own in slots for slot in own]
        whole = [
            self._generated[slot.group]
            + self._rollouts(self._generated[slot.group][0].index, GROUP - 2)
            for slot in places
            if slot.commits
        ]
        self._close([self._generated[slot.group] for slot in places])
        return whole

    def keep(self, places):
        # A generation deals its groups to the processes in blocks; a place counts within a process,
        # over generations.
        size = len(self._generated) // self.num_processes
        per_generation = len(self._screened) // self.num_processes
        of_process = [[] for _ in range(self.num_processes)]
        for start in range(0, len(self._generated), len(self._screened)):
            for process in range(self.num_processes):
                first = start + process * per_generation
                of_process[process] += self._generated[first : first + per_generation]
        assert all(len(own) == size for own in of_process)
        self._close(
            [own[place] for own, chosen in zip(of_process, places, strict=True) for place in chosen]
        )

    def silence(self, places):
        assert len(places) == self.num_processes
        size = BATCH // self.num_processes
        batch = self.trained[-1]
        self.silent.append(
            [batch[process * size + place] for process, own in enumerate(places) for place in own]
        )

    def _close(self, groups):
        self.trained.append([group[0].index for group in groups])
        self._generated = []

    def _rollouts(self, index, num):
        self.generated[index] += num
        numbers = range(self._numbers[index], self._numbers[index] + num)
        self._numbers[index] += num
        return [self._rollout(index, number) for number in numbers]

    def _rollout(self, index, number):
        right = np.random.default_rng([index, number]).random() < index / (POOL - 1)
        value = float(right)
        return ScoredRollout(
            index=index,
            text=f"{index}-{number}",
            token_ids=(index, number, 7),
            verdict=Verdict(Outcome.CORRECT if right else Outcome.INCORRECT),
            reward=Reward(value, {"accuracy": value}),
        )


def a_loop(gate="all", *, sampler="uniform", num_processes=1, engine=None, **options):
    settings = {"refresh_every": 2, "num_refresh_rollouts": 4} if sampler == "vas" else {}
    run = RunState(
        sampler=make_sampler(sampler, num_prompts=POOL, seed=3, **settings),
        gate=make_gate(gate, **GATES[gate]),
    )
    engine = engine or Scripted(num_processes)
    return Loop(run, engine, LoopOptions(**options)), engine


@pytest.fixture
def told(monkeypatch):
    """All groups that the loop's sampler observes."""

    def watch(loop):
        seen, observe = [], loop.run.sampler.observe
        monkeypatch.setattr(
            loop.run.sampler, "observe", lambda groups: (seen.extend(groups), observe(groups))[1]
        )
        return seen

    return watch


def test_it_imports_neither_torch_nor_trl():
    """A researcher's own trainer can have the algorithm without theirs."""
    code = (
        "import sys, vasari.train.loop; print(sorted({'torch', 'trl', 'transformers', 'accelerate'}"
        " & set(sys.modules)))"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "[]"
    )


@pytest.mark.parametrize("num_processes", [1, 2, 3])
@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("sampler", ["uniform", "vas", "progress"])
def test_every_rollout_is_charged_kept_and_observed_once(sampler, gate, num_processes, told):
    kept = []
    loop, engine = a_loop(
        gate,
        sampler=sampler,
        num_processes=num_processes,
        record=lambda groups, batch: kept.extend(groups),
    )
    seen = told(loop)
    for _ in range(5):
        metrics = loop.next_batch(BATCH)
        assert len(engine.trained[-1]) == BATCH
    generated = sum(engine.generated.values())
    assert generated == sum(loop.run.ledger.rollouts.values())
    assert generated == sum(
        count for name, count in metrics.items() if name.startswith("ledger/rollouts/")
    )
    assert (
        generated
        == sum(len(group.rollouts) for group in kept)
        == sum(len(group.verdicts) for group in seen)
    )
    assert 3 * generated == sum(loop.run.ledger.tokens.values())
    written = [rollout.text for group in kept for rollout in group.rollouts]
    assert len(written) == len(set(written)) == generated


def test_a_mixed_batch_trains_on_mixed_groups_while_the_pool_has_them():
    kept = []
    loop, engine = a_loop(
        "mixed", max_generations=20, record=lambda groups, batch: kept.extend(groups)
    )
    loop.next_batch(BATCH)
    spread = {
        group.rollouts[0].index: len({rollout.reward.total for rollout in group.rollouts})
        for group in kept
        if group.purpose == "train"
    }
    assert sorted(spread) == sorted(engine.trained[0])
    assert set(spread.values()) == {2}
    spent = dict(loop.run.ledger.rollouts)
    assert spent["train"] == BATCH * GROUP
    assert spent["discarded"] > 0
    assert spent["screen"] == 0
    assert spent["discarded"] == sum(engine.generated.values()) - spent["train"]


@pytest.mark.parametrize("num_processes", [1, 2, 3])
@pytest.mark.parametrize("gate", GATES)
def test_what_is_not_charged_as_training_has_no_advantage(gate, num_processes):
    """The groups of a batch that keep their advantages are those whose rollouts are of the purpose
    `train`."""
    kept = []
    loop, engine = a_loop(
        gate,
        num_processes=num_processes,
        max_generations=1,
        record=lambda groups, batch: kept.append(groups),
    )
    for _ in range(6):
        loop.next_batch(BATCH)
    for trained, silent, groups in zip(engine.trained, engine.silent, kept, strict=True):
        charged = [group.rollouts[0].index for group in groups if group.purpose == "train"]
        assert sorted(set(trained) - set(silent)) == sorted(charged)
    assert any(engine.silent) == (gate != "all")


def test_max_generations_ends_a_batch_that_the_gate_does_not_fill():
    loop, _ = a_loop("mixed", max_generations=1)
    assert loop.next_batch(BATCH)["generations"] == 1
    loop, _ = a_loop("mixed", max_generations=20)
    assert loop.next_batch(BATCH)["generations"] > 1


def test_three_times_the_candidates_are_three_times_the_screenings_at_first():
    (few, engine), (many, more) = (
        a_loop("two_stage", candidates=candidates, max_generations=1) for candidates in (1.0, 3.0)
    )
    for loop in (few, many):
        assert loop.next_batch(BATCH)["generations"] == 1
    assert (len(engine.generated), len(more.generated)) == (BATCH, 3 * BATCH)


def test_scores_are_there_before_the_first_draw_and_refreshed_in_time():
    """Algorithm 1: line 2 scores the whole pool before training, lines 9 to 11 every
    `refresh_every` batches."""
    kept = []
    loop, engine = a_loop(
        sampler="vas", record=lambda groups, batch: kept.extend((batch, group) for group in groups)
    )
    for _ in range(5):
        loop.next_batch(BATCH)
    assert [batch for batch, _ in engine.refreshed] == [0, 2, 4]
    assert all(sorted(indices) == list(range(POOL)) for _, indices in engine.refreshed)
    assert loop.run.ledger.rollouts["refresh"] == 3 * POOL * 4
    promoted = [group for _, group in kept if group.role == "promoted"]
    scores = loop.run.sampler.scores()
    assert promoted
    assert all(np.isfinite(group.score) for group in promoted)
    assert np.nanmean([group.score for group in promoted]) > np.nanmean(scores)
    assert [batch for batch, group in kept[:POOL]] == [0] * POOL
    assert {g.purpose for _, g in kept[:POOL]} == {"refresh"}


@pytest.mark.parametrize("sampler", ["uniform", "vas", "progress"])
def test_the_number_of_processes_decides_nothing(sampler):
    """The same prompts, the same spending and the same beliefs, with one process and with three."""
    one, three = (a_loop(sampler=sampler, num_processes=num) for num in (1, 3))
    metrics = [[loop.next_batch(BATCH) for _ in range(4)] for loop, _ in (one, three)]
    assert metrics[0] == metrics[1]
    assert one[1].trained == three[1].trained
    assert one[1].generated == three[1].generated


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("sampler", ["uniform", "vas", "progress"])
def test_a_saved_loop_goes_on_as_an_unbroken_one(sampler, gate, tmp_path):
    unbroken, engine = a_loop(gate, sampler=sampler)
    for _ in range(3):
        unbroken.next_batch(BATCH)
    unbroken.run.save(tmp_path)
    resumed, _ = a_loop(gate, sampler=sampler, engine=engine)
    resumed.run.load(tmp_path)
    numbers = Counter(engine._numbers)
    expected = [unbroken.next_batch(BATCH) for _ in range(3)]
    trained = engine.trained[-3:]
    engine._numbers = numbers  # the policy says the same again
    assert [resumed.next_batch(BATCH) for _ in range(3)] == expected
    assert engine.trained[-3:] == trained
    assert resumed.run.batch == 6


def test_a_group_without_a_verdict_is_no_zero(told):
    loop, engine = a_loop("mixed", max_generations=1)
    seen = told(loop)
    rollout = engine._rollout

    def unverifiable(index, number):
        found = rollout(index, number)
        return ScoredRollout(
            index=index,
            text=found.text,
            token_ids=found.token_ids,
            verdict=Verdict(Outcome.UNVERIFIABLE),
            reward=Reward(float("nan"), {"accuracy": float("nan")}),
        )

    engine._rollout = unverifiable
    metrics = loop.next_batch(BATCH)
    assert metrics["unverifiable_share"] == 1.0
    assert metrics["trained_share"] == 0.0
    assert all(np.isnan(group.verdicts).all() for group in seen)
    assert loop.run.ledger.rollouts["train"] == 0
