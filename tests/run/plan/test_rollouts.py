"""Rollouts of a plan, beside those that the training loop charges to its ledger."""

import numpy as np
import pytest

from vasari.evaluate.settings import EvaluateSettings
from vasari.records import Outcome, Verdict
from vasari.run.plan.rollouts import (
    Count,
    evaluation_rollouts,
    num_validations,
    training_rollouts,
)
from vasari.sample import make_sampler
from vasari.score.reward import Reward
from vasari.train.groups import ScoredRollout
from vasari.train.loop import Loop, LoopOptions
from vasari.train.run_state import RunState
from vasari.train.settings import GrpoSettings

POOL = 24


class CoinTossing:
    """An engine whose rollouts are right half the time."""

    num_processes = 1

    def __init__(self, size):
        self._size = size
        self._rng = np.random.default_rng(0)
        self._groups = []

    def on_main(self, decide):
        return decide()

    def refresh(self, indices, num_rollouts, *, batch):
        return [self._group(index, num_rollouts) for index in indices]

    def roll_out(self, indices, num_screening):
        new = [self._group(index, num_screening or self._size) for index in indices]
        self._groups += new
        return new

    def complete(self, slots):
        whole = [
            self._group(self._groups[slot.group][0].index, self._size)
            for own in slots
            for slot in own
            if slot.commits
        ]
        self._groups = []
        return whole

    def keep(self, places):
        self._groups = []

    def silence(self, places):
        pass

    def _group(self, index, num):
        rollouts = []
        for _ in range(num):
            right = bool(self._rng.integers(2))
            verdict = Verdict(outcome=Outcome.CORRECT if right else Outcome.INCORRECT)
            rollouts.append(
                ScoredRollout(
                    text="",
                    token_ids=np.array([1], dtype=np.int32),
                    index=int(index),
                    verdict=verdict,
                    reward=Reward(float(right)),
                )
            )
        return rollouts


def settings(**changes):
    small = {
        "steps": 20,
        "prompts_per_batch": 6,
        "rollouts_per_prompt": 4,
        "updates_per_batch": 2,
        "micro_batch": 4,
        "save_every": 10,
        "validate_every": 10,
    }
    return GrpoSettings(**{**small, **changes})


def charged(grpo, name, **sampler):
    """Rollouts by purpose that the loop charges over the whole run."""
    gate = grpo.make_gate()
    run = RunState(sampler=make_sampler(name, num_prompts=POOL, seed=0, **sampler), gate=gate)
    options = LoopOptions(
        max_generations=grpo.max_generations, candidates=grpo.screening.candidates
    )
    loop = Loop(run, CoinTossing(grpo.rollouts_per_prompt), options)
    for _ in range(grpo.steps // grpo.updates_per_batch):
        loop.next_batch(grpo.prompts_per_batch)
        if grpo.max_rollouts and run.ledger.total_rollouts >= grpo.max_rollouts:
            break
    return run.ledger.rollouts


def planned(grpo, name, **sampler):
    made = make_sampler(name, num_prompts=POOL, seed=0, **sampler)
    return training_rollouts(grpo, made, num_validation=5)


SAMPLERS = {
    "full": ("vas", {"refresh_every": 3, "num_refresh_rollouts": 5}),
    "stale": ("vas", {"refresh": "stale", "stale_share": 0.3, "refresh_every": 4}),
    "online": ("vas", {"refresh": "online"}),
    "mmr1": ("mmr1", {"refresh_every": 4}),
    "skip": ("skip", {"inner": "vas", "inner_settings": {"refresh_every": 3}}),
    "progress": ("progress", {}),
}


@pytest.mark.parametrize("kind", SAMPLERS)
def test_planned_rollouts_are_those_that_the_loop_charges(kind):
    name, options = SAMPLERS[kind]
    grpo = settings()
    paid, plan = charged(grpo, name, **options), planned(grpo, name, **options)
    assert plan.train == Count(least=paid["train"], most=paid["train"])
    assert plan.refresh == Count(least=paid["refresh"], most=paid["refresh"])


@pytest.mark.parametrize("gate", ["mixed", "two_stage"])
def test_what_a_gate_spends_lies_within_the_planned_range(gate):
    screening = {"screening": {"rollouts": 2}} if gate == "two_stage" else {}
    grpo = settings(gate=gate, **screening)
    paid, plan = charged(grpo, "uniform"), planned(grpo, "uniform")
    spent = paid["train"] + paid["discarded"] + paid["screen"]
    assert plan.train.least <= spent <= plan.train.most
    assert plan.train.least < plan.train.most


def test_a_budget_of_rollouts_ends_the_plan_where_it_ends_the_run():
    grpo = settings(max_rollouts=200)
    paid = charged(grpo, "vas", refresh_every=2, num_refresh_rollouts=4)
    plan = planned(grpo, "vas", refresh_every=2, num_refresh_rollouts=4)
    assert plan.train.most + plan.refresh.most == paid["train"] + paid["refresh"]
    assert plan.steps < grpo.steps


def test_a_refresh_of_the_paper_costs_480000_rollouts_beside_143360_that_train():
    # arXiv:2509.21268, section 6.1: N = 32, T = 35, 512 prompts x 8 rollouts; 15,000 prompts.
    grpo = GrpoSettings(steps=70, updates_per_batch=2, validate_every=2, save_every=2)
    sampler = make_sampler("vas", num_prompts=15_000, seed=0, preset="paper")
    plan = training_rollouts(grpo, sampler, num_validation=0)
    assert (plan.train.most, plan.refresh_cycle) == (143_360, 480_000)
    assert plan.refresh_ratio == pytest.approx(480_000 / 143_360)


@pytest.mark.parametrize(("steps", "every", "expected"), [(4, 4, 2), (6, 4, 3), (2, 4, 2)])
def test_validations_come_at_the_start_every_few_steps_and_at_the_end(steps, every, expected):
    grpo = settings(steps=steps, validate_every=every)
    assert num_validations(grpo, steps=steps) == expected


def test_an_evaluation_draws_samples_greedy_rollouts_and_blind_ones_of_prompts_with_images():
    evaluate = EvaluateSettings(num_rollouts=8, limit=50, blind_rollouts=2)
    # 50 of 100 prompts: 50 x 8 sampled, 50 greedy, 25 with images x 2 blind.
    assert evaluation_rollouts(evaluate, {"test": (100, 50)}, num_models=3).most == 3 * 500
