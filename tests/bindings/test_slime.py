"""slime's rollout loop with our data source: draws, observed groups, resume, given-up groups."""

from __future__ import annotations

import numpy as np
import pytest
import scenario
import slime_training as training

from vasari.data.images import open_image


def drawn():
    return [[place for place, _ in groups] for groups in training.RECORDED]


@pytest.mark.parametrize("name", scenario.SAMPLERS)
def test_slime_s_binding_draws_what_the_bare_contract_draws(start, name):
    manager = start(name)
    for rollout_id in range(scenario.NUM_BATCHES):
        manager.generate(rollout_id)
    assert drawn() == scenario.recorded_draws(name)


@pytest.mark.parametrize("name", ["weighted_passes", "vas"])
def test_a_training_killed_in_the_middle_of_a_pass_goes_on_exactly(start, name):
    manager = start(name)
    for rollout_id in range(3):
        manager.generate(rollout_id)
    manager.save(2)
    visits = dict(training.SCRIPT.visits)
    manager.generate(3)  # what the kill loses
    resumed = start(name, at=3, visits=visits)
    for rollout_id in range(3, 8):
        resumed.generate(rollout_id)
    assert drawn() == scenario.recorded_draws(name)[3:8]
    assert resumed.source.run.ledger.rollouts["train"] == 8 * 16


def test_a_checkpoint_saved_after_the_next_rollout_is_of_its_own(start):
    """`train_async.py` rolls out the next batch before it saves."""
    manager = start("weighted_passes")
    for rollout_id in range(4):
        manager.generate(rollout_id)
    manager.save(2)
    resumed = start("weighted_passes", at=3, visits={})
    resumed.generate(3)
    assert drawn() == [scenario.recorded_draws("weighted_passes")[3]]


def test_the_order_in_which_groups_finish_changes_no_draw(start):
    manager = start("progress")
    training.DELAYS.update({place: 0.01 * (place % 3) for place in range(scenario.NUM_PROMPTS)})
    for rollout_id in range(5):
        manager.generate(rollout_id)
    assert drawn() == scenario.recorded_draws("progress")[:5]


def test_the_sampler_observes_groups_that_a_filter_dropped(start):
    settings = {"sampler": {"name": "vas", "settings": {"refresh": "online"}}}
    manager = start(
        "vas",
        vasari=settings,
        dynamic_sampling_filter_path="slime_training.drops_unanimous",
    )
    output = manager.generate(0)
    means = [mean for groups in training.RECORDED for _, mean in groups]
    dropped = sum(mean in (0.0, 1.0) for mean in means)
    source = manager.source
    assert dropped > 0
    assert len(output.samples) == scenario.PROMPTS_A_BATCH
    assert source.run.sampler.observed_groups == len(means)
    assert source.run.ledger.rollouts["train"] == 4 * scenario.PROMPTS_A_BATCH
    assert source.run.ledger.rollouts["discarded"] == 4 * (len(means) - scenario.PROMPTS_A_BATCH)
    assert output.metrics["rollout/ledger/rollouts/discarded"] >= 4 * dropped
    assert output.metrics["rollout/trained_share"] == scenario.PROMPTS_A_BATCH / len(means)


def test_refreshes_are_charged_as_such_and_do_not_train(start):
    manager = start("vas")
    output = manager.generate(0)
    assert manager.source.run.ledger.rollouts["refresh"] == 8 * scenario.NUM_PROMPTS
    roles = {sample.metadata["vasari_role"] for group in output.samples for sample in group}
    assert roles == {"promoted", "uniform"}


class TestGroupsGivenBack:
    """Six prompts are begun for a batch of four, and two of them are too slow."""

    @pytest.fixture
    def manager(self, start):
        manager = start(over_sampling_batch_size=6, partial_rollout=True)
        first = scenario.sampler("uniform").draw(6).indices.tolist()
        self.slow = first[4:]
        training.SLOW.update(self.slow)
        manager.generate(0)
        return manager

    def test_they_come_first(self, manager):
        groups = manager.source.get_samples(3)
        assert [g[0].metadata["vasari_prompt_index"] for g in groups[:2]] == self.slow
        assert all(s.response == "so then" for group in groups[:2] for s in group)
        assert groups[2][0].response == ""

    def test_they_are_observed_once_when_they_are_finished(self, manager):
        assert not set(self.slow) & set(drawn()[0])
        manager.generate(1)
        assert set(self.slow) <= set(drawn()[1])
        assert manager.source.run.ledger.rollouts["train"] >= 4 * 8

    def test_a_resumed_training_finishes_them_too(self, manager, start):
        manager.save(0)
        visits, slow = dict(training.SCRIPT.visits), self.slow
        expected = manager.source.get_samples(6)
        resumed = start(at=1, visits=visits, over_sampling_batch_size=6, partial_rollout=True)
        found = resumed.source.get_samples(6)
        assert [[s.to_dict() for s in group] for group in found] == [
            [s.to_dict() for s in group] for group in expected
        ]
        training.SLOW.update(slow)
        assert found[0][0].status.value == "aborted"

    @pytest.mark.parametrize("num", [2, 8])
    def test_with_other_groups_they_begin_anew(self, manager, start, caplog, num):
        manager.save(0)
        visits = dict(training.SCRIPT.visits)
        resumed = start(at=1, visits=visits, n_samples_per_prompt=num, over_sampling_batch_size=6)
        assert f"was begun, and --n-samples-per-prompt is {num}: it begins anew" in caplog.text
        output = resumed.generate(1)
        assert [len(group) for group in output.samples] == [num] * 4
        assert set(self.slow) <= set(drawn()[0])

    def test_what_cannot_be_saved_begins_anew(self, manager, start, caplog):
        manager.source._stock.buffer[0][0].rollout_routed_experts = np.zeros(3)
        manager.save(0)
        assert "begins anew when resumed" in caplog.text
        found = start(at=1, partial_rollout=True).source.get_samples(2)
        assert [sample.response for sample in found[0]] == ["", *["so then"] * 3]
        assert found[0][0].metadata["vasari_prompt_index"] == self.slow[0]


def test_groups_that_slime_gives_up_are_counted(start):
    manager = start(over_sampling_batch_size=6)
    training.SLOW.update(scenario.sampler("uniform").draw(6).indices.tolist()[4:])
    output = manager.generate(0)
    assert output.metrics["rollout/groups_aborted"] == 2
    assert manager.source.run.ledger.total_rollouts == 16


def test_a_pool_that_is_rolled_out_whole_is_drawn_from_again(start):
    """slime waits for groups until it has enough: none would make it wait for ever."""
    manager = start()
    assert len(manager.source.get_samples(24)) == 24
    again = manager.source.get_samples(5)
    assert len({group[0].metadata["vasari_prompt_index"] for group in again}) == 5


def test_a_prompt_that_is_being_rolled_out_is_not_drawn_again(start):
    online = {"sampler": {"name": "vas", "settings": {"refresh": "online"}}}
    source = start(vasari=online).source
    groups = [*source.get_samples(8), *source.get_samples(8), *source.get_samples(8)]
    assert len({group[0].metadata["vasari_prompt_index"] for group in groups}) == 24


def test_the_seed_is_ours_or_slime_s(start):
    first = [
        [
            group[0].metadata["vasari_prompt_index"]
            for group in start(**changes).source.get_samples(6)
        ]
        for changes in (
            {},
            {"rollout_seed": 1},
            {"rollout_seed": 1, "vasari": {"sampler": {"name": "uniform"}, "seed": scenario.SEED}},
        )
    ]
    assert first[0] != first[1]
    assert first[0] == first[2]


def test_a_line_of_the_log_names_the_sampler_and_the_pool(start, caplog):
    with caplog.at_level("INFO"):
        start("vas")
    (line,) = [line for line in caplog.messages if "prompts are chosen by" in line]
    assert "'vas' over 24 prompts" in line
    assert "refresh_every=4" in line


def test_images_are_shared_by_the_rollouts_of_a_prompt(start):
    source = start().source
    pictures = {"images": [object()]}
    for sample in source._pool:
        sample.multimodal_inputs = pictures
    (group,) = source.get_samples(1)
    assert all(sample.multimodal_inputs is pictures for sample in group)
    assert len({id(sample.metadata) for sample in group}) == len(group)


def test_a_resumed_training_says_which_settings_of_the_sampler_changed(start, caplog):
    manager = start("vas")
    manager.generate(0)
    manager.save(0)
    changed = scenario.SAMPLERS["vas"] | {"refresh_every": 9}
    start("vas", at=1, vasari={"sampler": {"name": "vas", "settings": changed}})
    assert "refresh_every was 4 and is 9" in caplog.text


def test_rewards_that_all_read_as_wrong_are_told(start, caplog):
    manager = start("uniform", custom_rm_path="slime_training.graded")
    manager.generate(0)
    assert "the rewards of the reward function differ, and all 16 of them read as" in caplog.text
    assert caplog.text.count("--custom-rm-path") == 1


@pytest.mark.slow
@pytest.mark.skipif(training.SOURCE is None, reason="VASARI_SLIME_SOURCE names none")
class TestOnlySlimeItself:
    @pytest.fixture(autouse=True)
    def slime(self):
        with training.importable(training.SOURCE):
            yield

    def test_it_reads_our_export_with_marks_and_images(self, tmp_path, tiny_folder, mixed_prompts):
        pytest.importorskip("aiohttp")
        from slime.utils.data import Dataset

        from vasari.curate.out.export import write_exports
        from vasari.model.processor import load_processor
        from vasari.slime.groups import prompts_of

        write_exports(tmp_path, ("slime",), {"rl": mixed_prompts})
        processor = load_processor(str(tiny_folder))
        samples = Dataset(
            str(tmp_path / "slime" / "rl.parquet"),
            processor.tokenizer,
            processor,
            None,
            prompt_key="prompt",
            label_key="label",
            multimodal_keys={"image": "images"},
            apply_chat_template=True,
        ).origin_samples
        for sample, prompt in zip(samples, mixed_prompts, strict=True):
            pictures = sample.multimodal_inputs["images"] or ()
            assert [picture.size for picture in pictures] == [
                open_image(ref).size for ref in prompt.images
            ]
            assert sample.prompt.count(processor.image_token) == len(prompt.images)
        for found, prompt in zip(prompts_of(samples), mixed_prompts, strict=True):
            for name in ("id", "question", "answer", "kind", "choices", "category", "difficulty"):
                assert getattr(found, name) == getattr(prompt, name)

    def test_a_rollout_function_without_the_hook_is_observed_by_what_it_returns(self, tmp_path):
        function = "slime.rollout.fully_async_rollout.generate_rollout_fully_async"
        settings = {"sampler": "weighted_passes", "rollout_function": function}
        training.begin()
        manager = training.Manager(training.arguments(tmp_path, vasari=settings))
        outputs = [manager.generate(rollout_id) for rollout_id in range(2)]
        assert training.RECORDED == []
        assert [len(output.samples) for output in outputs] == [4, 4]
        assert manager.source.run.ledger.rollouts["train"] == 2 * 16
        import slime.rollout.fully_async_rollout as running

        running._stop_global_worker()
