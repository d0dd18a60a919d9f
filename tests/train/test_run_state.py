"""What lies beside the weights of a checkpoint, what of another run is refused, and what 0.1.0
wrote."""

import json

import numpy as np
import pytest

from vasari.core.errors import StateError
from vasari.records import GroupOutcome
from vasari.sample import SAMPLER_NAMES, PoolFeatures, make_gate, make_sampler
from vasari.sample.state_file import load_state, save_state
from vasari.train.run_state import GATE_FILE, RUN_FILE, SAMPLER_FILE, RunState, read_run_file


def state(sampler="uniform", gate="mixed", num_prompts=20):
    settings = (
        {"num_screening": 2, "num_rollouts": 4, "evict_after": 1} if gate == "two_stage" else {}
    )
    known = np.linspace(0, 1, num_prompts)
    features = PoolFeatures(difficulty=known, pass_rates=1 - known)
    chosen = make_sampler(sampler, num_prompts=num_prompts, seed=0, features=features)
    return RunState(sampler=chosen, gate=make_gate(gate, **settings))


def used(**facts):
    """A run that has drawn, observed and paid."""
    run = state(**facts)
    drawn = run.sampler.draw(6)
    groups = [
        GroupOutcome(
            index=index,
            rewards=own,
            verdicts=own,
            token_ids=[[1, 2], [1, place]],
            purpose="screen",
            batch=4,
        )
        for place, index in enumerate(drawn.indices.tolist())
        for own in ([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]][place % 3],)
    ]
    run.sampler.observe(groups)
    run.gate.admit(groups)
    run.ledger.charge("train", rollouts=24, tokens=96)
    run.batch = 5
    return run


@pytest.mark.parametrize("gate", ["all", "mixed", "two_stage"])
@pytest.mark.parametrize("sampler", SAMPLER_NAMES)
def test_a_run_goes_on_as_it_was(sampler, gate, tmp_path):
    run, other = used(sampler=sampler, gate=gate), state(sampler=sampler, gate=gate)
    run.save(tmp_path)
    other.load(tmp_path)
    assert (other.batch, dict(other.ledger.rollouts)) == (5, dict(run.ledger.rollouts))
    for own in (run, other):
        own.sampler.due(6)
    assert [other.sampler.draw(8).indices.tolist() for _ in range(3)] == [
        run.sampler.draw(8).indices.tolist() for _ in range(3)
    ]
    assert str(other.sampler.state_dict()) == str(run.sampler.state_dict())
    wanted = [own.gate.wanted(np.arange(20), 6).tolist() for own in (run, other)]
    assert wanted[0] == wanted[1]
    assert gate != "two_stage" or not all(wanted[0])


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"sampler": "progress"}, "sampler uniform, this run uses progress"),
        ({"gate": "all"}, "gate mixed, this run uses all"),
        ({"gate": "two_stage"}, "gate mixed, this run uses two_stage"),
        ({"num_prompts": 21}, "20"),
    ],
)
def test_another_run_s_state_is_refused(other, words, tmp_path):
    used().save(tmp_path)
    with pytest.raises(StateError, match=words):
        state(**other).load(tmp_path)


def test_settings_that_are_others_now_are_named_and_used(tmp_path, caplog):
    then, now = (
        RunState(
            sampler=make_sampler("vas", num_prompts=20, seed=0, mix_ratio=share, refresh="online"),
            gate=make_gate("two_stage", num_screening=screening, num_rollouts=8),
        )
        for share, screening in ((0.0, 2), (1.0, 3))
    )
    then.save(tmp_path)
    with caplog.at_level("WARNING"):
        then.load(tmp_path)
        assert caplog.messages == []
        now.load(tmp_path)
    assert sorted(message.partition(": ")[2] for message in caplog.messages) == [
        "the gate goes on with other settings: num_screening was 2 and is 3",
        "the sampler goes on with other settings: mix_ratio was 0.0 and is 1.0",
    ]
    assert (now.sampler.settings.mix_ratio, now.gate.num_screening) == (1.0, 3)


@pytest.mark.parametrize("missing", [SAMPLER_FILE, RUN_FILE])
def test_a_checkpoint_of_another_program_is_refused(missing, tmp_path):
    used().save(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(StateError, match="not written by vasari"):
        state().load(tmp_path)


def test_a_later_schema_is_refused(tmp_path):
    used().save(tmp_path)
    saved = json.loads((tmp_path / RUN_FILE).read_text())
    (tmp_path / RUN_FILE).write_text(json.dumps(saved | {"schema": 3}))
    with pytest.raises(StateError, match="schema 3"):
        read_run_file(tmp_path)


def as_0_1_0(folder, run):
    """The files of 0.1.0: `vasari_books.json` with its purposes, a gate's file for `two_stage`
    alone, without a header.

    States counted a `step` where they count a `batch` today. `tests/flow/test_run_of_0_1_0.py` has
    files that it wrote.
    """
    run.save(folder)
    sampler = load_state(folder / SAMPLER_FILE)
    save_state(folder / SAMPLER_FILE, sampler | {"schema": 1, "state": in_steps(sampler["state"])})
    saved = json.loads((folder / RUN_FILE).read_text())
    ledger = {
        "schema": 1,
        **{key: value for key, value in saved["ledger"].items() if key != "schema"},
    }
    for counts in (ledger["rollouts"], ledger["tokens"]):
        counts["probe"] = counts.pop("screen")
    (folder / RUN_FILE).unlink()
    (folder / "vasari_books.json").write_text(
        json.dumps({"schema": 1, "batch": saved["batch"], "ledger": ledger})
    )
    gate = load_state(folder / GATE_FILE)
    (folder / GATE_FILE).unlink()
    if gate["gate"] == "two_stage":
        save_state(folder / GATE_FILE, in_steps(gate["state"]))


def in_steps(content):
    return {"step" if key == "batch" else key: value for key, value in content.items()}


@pytest.mark.parametrize("sampler", ["uniform", "progress", "vas"])
@pytest.mark.parametrize("gate", ["all", "mixed", "two_stage"])
def test_a_run_of_0_1_0_goes_on(gate, sampler, tmp_path):
    run, other = used(gate=gate, sampler=sampler), state(gate=gate, sampler=sampler)
    run.ledger.charge("screen", rollouts=2, tokens=8)
    as_0_1_0(tmp_path, run)
    other.load(tmp_path)
    assert other.sampler.draw(8).indices.tolist() == run.sampler.draw(8).indices.tolist()
    assert other.batch == 5
    assert dict(other.ledger.rollouts) == dict(run.ledger.rollouts)
    assert (
        other.gate.wanted(np.arange(20), 6).tolist() == run.gate.wanted(np.arange(20), 6).tolist()
    )


@pytest.mark.parametrize(("then", "now"), [("mixed", "two_stage"), ("two_stage", "mixed")])
def test_a_run_of_0_1_0_with_another_gate_is_refused(then, now, tmp_path):
    as_0_1_0(tmp_path, used(gate=then))
    with pytest.raises(StateError, match="gate"):
        state(gate=now).load(tmp_path)
