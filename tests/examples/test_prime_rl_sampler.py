"""The example for prime-rl has the interface of its task samplers, and draws as the bare sampler."""

from __future__ import annotations

import importlib.util
import inspect
from pathlib import Path
from types import SimpleNamespace

import pytest
import scenario

from vasari.core.errors import ConfigError, StateError
from vasari.sample import load_state, save_state

INTERFACE = {
    "__next__": ["self"],
    "observe": ["self", "group"],
    "state_dict": ["self"],
    "load_state_dict": ["self", "state_dict"],
    "metrics": ["self"],
}
"""`TaskSampler` in src/prime_rl/orchestrator/curriculum/samplers/base.py of PrimeIntellect-ai/prime-rl,
commit 559b44772e471d1538537b8805cc77f3824a5e64."""


@pytest.fixture(scope="module")
def sampler_class():
    path = Path(__file__).parents[2] / "examples" / "prime_rl_sampler.py"
    spec = importlib.util.spec_from_file_location("prime_rl_sampler", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.VarianceAwareTaskSampler


def tasks():
    return [SimpleNamespace(key=prompt.id, place=n) for n, prompt in enumerate(scenario.prompts())]


def episodes(task, texts, *, errors=0):
    """A finished group, one trace an episode, as prime-rl's curriculum gets it."""
    verdicts = scenario.outcome(task.place, texts, purpose="train", batch=0).verdicts
    return [
        SimpleNamespace(
            task=task,
            traces=[
                SimpleNamespace(
                    has_error=n < errors or verdict != verdict,  # noqa: PLR0124  (nan)
                    agent=SimpleNamespace(trainable=True),
                    reward=verdict,
                    nodes=[
                        SimpleNamespace(sampled=False, token_ids=[1, 2]),
                        SimpleNamespace(sampled=True, token_ids=scenario.token_ids(text)),
                    ],
                )
            ],
        )
        for n, (text, verdict) in enumerate(zip(texts, verdicts, strict=True))
    ]


def made(sampler_class, name="vas", **settings):
    known = {"refresh": "online"} if name == "vas" else {}
    return sampler_class(tasks(), sampler=name, seed=7, tasks_per_draw=4, **known, **settings)


def run(sampler, script, num_batches):
    drawn = []
    for _ in range(num_batches):
        batch = [next(sampler) for _ in range(4)]
        for task in batch:
            sampler.observe(episodes(task, script.group(task.place, 4)))
        drawn.append([task.place for task in batch])
    return drawn


def test_it_has_the_methods_of_prime_rl_s_task_samplers(sampler_class):
    found = {
        name: list(inspect.signature(getattr(sampler_class, name)).parameters) for name in INTERFACE
    }
    assert found == INTERFACE
    assert iter(made(sampler_class)) is not None


def test_it_draws_what_the_bare_contract_draws(sampler_class):
    drawn = run(made(sampler_class, "uniform"), scenario.Script(), scenario.NUM_BATCHES)
    assert drawn == scenario.recorded_draws("uniform")


@pytest.mark.parametrize("name", ["vas", "progress", "weighted_passes"])
def test_it_goes_on_from_its_state_in_the_middle_of_a_batch(sampler_class, tmp_path, name):
    # prime-rl pickles whatever a sampler's state is; ours is JSON values and plain arrays.
    whole, script = made(sampler_class, name), scenario.Script()
    run(whole, script, 3)
    next(whole)
    save_state(tmp_path / "state.npz", whole.state_dict())
    visits = dict(script.visits)
    expected = [next(whole).place for _ in range(3)] + run(whole, script, 4)
    resumed = made(sampler_class, name)
    resumed.load_state_dict(load_state(tmp_path / "state.npz"))
    found = [next(resumed).place for _ in range(3)] + run(resumed, scenario.Script(visits), 4)
    assert found == expected


def test_a_trace_with_an_error_is_not_wrong(sampler_class):
    sampler = made(sampler_class)
    task = next(sampler)
    sampler.observe(episodes(task, scenario.Script().group(task.place, 4), errors=4))
    assert sampler.metrics()["prompts_unverifiable"] == 1
    assert sampler.metrics()["scored_share"] == 0


def test_a_trace_without_a_reward_is_not_wrong(sampler_class):
    sampler = made(sampler_class)
    task = next(sampler)
    group = episodes(task, scenario.Script().group(task.place, 4))
    for episode in group:
        episode.traces[0].reward = None
    sampler.observe(group)
    assert sampler.metrics()["prompts_unverifiable"] == 1


def test_a_group_without_trainable_traces_is_counted(sampler_class):
    sampler = made(sampler_class)
    sampler.observe([SimpleNamespace(task=next(sampler), traces=[])])
    sampler.observe([])
    assert sampler.metrics()["groups_without_rollouts"] == 2


def test_what_is_correct_depends_on_the_least_reward_of_a_correct_rollout(sampler_class):
    rates = []
    for least in (0.5, 2.0):
        sampler = made(sampler_class, "weighted_passes", correct_from=least)
        # Two of four are right, with a reward of 1.
        sampler.observe(episodes(tasks()[2], scenario.Script().group(2, 4)))
        rates.append(sampler.metrics()["pass_rate_expected"])
    assert rates[0] > rates[1]


def test_refusals(sampler_class):
    with pytest.raises(ConfigError, match=r"refreshes its scores.*refresh='online'"):
        sampler_class(tasks(), sampler="vas")
    with pytest.raises(ConfigError, match="finite taskset"):
        sampler_class(iter(tasks()))
    for number in (0, 1.5, None):
        with pytest.raises(ConfigError, match="tasks_per_draw must be a whole number from 1"):
            sampler_class(tasks(), tasks_per_draw=number)
    for least in (float("nan"), "high", None):
        with pytest.raises(ConfigError, match="correct_from must be a finite number"):
            sampler_class(tasks(), correct_from=least)
    with pytest.raises(StateError, match="another pool"):
        sampler_class(tasks()[1:]).load_state_dict(sampler_class(tasks()).state_dict())
