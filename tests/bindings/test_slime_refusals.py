"""What slime's binding refuses in a line: flags, settings, groups and checkpoints that do not fit."""

from __future__ import annotations

import json

import pytest
import scenario
import slime_training as training

from vasari.core.errors import ConfigError, DataError, MissingExtraError, StateError


class TestRefusals:
    def test_another_pool(self, start, tmp_path):
        manager = start("weighted_passes")
        manager.generate(0)
        manager.save(0)
        pool = tmp_path / "pool.jsonl"
        pool.write_text("".join(pool.read_text().splitlines(keepends=True)[:-1]))
        with pytest.raises(StateError, match="another pool: 1 of 24 saved prompts are missing"):
            start("weighted_passes", at=1)

    def test_another_sampler(self, start):
        manager = start("weighted_passes")
        manager.generate(0)
        manager.save(0)
        with pytest.raises(StateError, match=r"vasari_0\.npz: written with the sampler weighted_"):
            start("uniform", at=1)

    def test_no_state_of_a_sampler(self, start):
        with pytest.raises(
            StateError, match=r"vasari_6\.npz: the checkpoint has no state.*begin_anew"
        ):
            start(at=7)
        manager = start(at=7, vasari={"sampler": "uniform", "begin_anew": True})
        assert manager.source.run.batch == 7

    @pytest.mark.parametrize("content", [b"", b"not a state", b"PK\x03\x04 half"])
    def test_a_damaged_state(self, start, tmp_path, content):
        path = tmp_path / "run" / "rollout" / "vasari_0.npz"
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        with pytest.raises(StateError, match=r"vasari_0\.npz: not a saved state, or damaged"):
            start(at=1)

    def test_an_id_that_stands_twice_is_not_used(self, start, tmp_path):
        start()
        pool = tmp_path / "pool.jsonl"
        rows = [json.loads(line) for line in pool.read_text().splitlines()]
        rows[3]["metadata"]["id"] = rows[5]["metadata"]["id"]
        pool.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        assert len(start().source) == scenario.NUM_PROMPTS

    def test_a_group_without_samples(self, start):
        with pytest.raises(DataError, match="a group of slime has no sample"):
            start().source.add_samples([[]])

    def test_a_group_of_somebody_else(self, start):
        source = start().source
        (group,) = source.get_samples(1)
        for sample in group:
            sample.metadata = {}
        with pytest.raises(DataError, match=r"group_index 0.*no 'vasari_prompt_index'"):
            source.add_samples([group])

    @pytest.mark.parametrize(
        ("metadata", "message"),
        [
            ("A text", r"prompt 3 \(of those not too long\): its metadata must be an object"),
            ({"id": "x", "kind": "essay"}, "prompt 'x': metadata: kind must be one of number"),
            ({"id": "x", "choices": "red"}, "prompt 'x': metadata: choices must be a list"),
        ],
    )
    def test_metadata_by_which_nothing_can_be_verified(self, start, tmp_path, metadata, message):
        start()
        pool = tmp_path / "pool.jsonl"
        rows = [json.loads(line) for line in pool.read_text().splitlines()]
        rows[3]["metadata"] = metadata
        pool.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        with pytest.raises(DataError, match=message):
            start()

    @pytest.mark.parametrize(
        ("function", "message"),
        [
            ("nowhere.at.all", "'nowhere.at.all' cannot be imported"),
            ("slime_training.nothing", "'slime_training.nothing' names no function"),
            ("generate", "'generate' cannot be imported"),
            ("", "'' cannot be imported"),
        ],
    )
    def test_a_rollout_function_that_is_not_there(self, start, function, message):
        with pytest.raises(ConfigError, match=message):
            start(vasari={"rollout_function": function})

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"rollout_global_dataset": False}, "leave --disable-rollout-global-dataset out"),
            ({"prompt_data": None}, "--prompt-data"),
            (
                {"rollout_function_path": "slime.rollout.sglang_rollout.generate_rollout"},
                "give that, and name yours as `vasari: {rollout_function",
            ),
            ({"custom_reward_post_process_path": None}, "add --custom-reward-post-process-path"),
            ({"reward_key": "score"}, "leave --reward-key score out"),
            ({"vasari": {"sampler": "nobody"}}, "nobody"),
            ({"vasari": {"smapler": "vas"}}, "vasari.smapler: Extra inputs are not permitted"),
            ({"vasari": ["vas"]}, "`vasari` must hold settings"),
            ({"vasari": {"sampler": {"name": "vas", "settings": {"alpa": 1}}}}, "alpa"),
            ({"vasari": {"seed": -1}}, "vasari.seed: Input should be greater"),
            ({"vasari": {"rewards": ["acuracy"]}}, "acuracy"),
            ({"vasari": {"rewards": []}}, "name at least one term"),
            (
                {"vasari": {"rewards": [{"name": "format", "weight": 0}]}},
                "the weight must be finite and not 0",
            ),
            (
                {"vasari": {"opened": "<think>"}, "custom_rm_path": "slime_training.graded"},
                "vasari.opened is for vasari.slime.reward, and --custom-rm-path is slime_training",
            ),
            (
                {"vasari": {"rewards": ["format"]}, "custom_rm_path": None},
                "vasari.rewards is for vasari.slime.reward",
            ),
            (
                {
                    "vasari": {"sampler": "vas"},
                    "sglang_enable_deterministic_inference": True,
                },
                "a refresh takes 32 rollouts of a prompt",
            ),
        ],
    )
    def test_flags_that_do_not_fit(self, start, changes, message):
        with pytest.raises(ConfigError, match=message):
            start(**changes)


class TestAnotherPackageOfThatName:
    def test_pypi_s_is_told_apart(self, tmp_path):
        (tmp_path / "other" / "slime").mkdir(parents=True)
        (tmp_path / "other" / "slime" / "__init__.py").touch()
        with training.importable(tmp_path / "other"):
            args = training.arguments(tmp_path)
            with pytest.raises(MissingExtraError, match=r"PyPI's slime is another project.*github"):
                training.Manager(args)

    def test_none_is_told_apart_too(self, tmp_path):
        args = training.arguments(tmp_path)
        with training.importable(tmp_path):
            if training.SOURCE is None:
                with pytest.raises(MissingExtraError, match="needs slime, which is not here"):
                    training.Manager(args)
