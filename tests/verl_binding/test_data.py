"""verl's real data set and data loader over our rows: what it reads, draws, saves and resumes."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scenario
import torch
from hydra import compose, initialize_config_module
from PIL import Image
from trainings import basic_overrides

from vasari.core.errors import ConfigError, DataError, StateError
from vasari.curate.out.export import write_exports
from vasari.records import ImageRef, Prompt
from vasari.verl import VarianceAwareTrainer


@pytest.fixture
def trainer_over(model_folder, data_file, tmp_path):
    """A trainer with verl's data set and data loader, without Ray."""

    def make(*overrides: str, data: Path = data_file) -> VarianceAwareTrainer:
        basic = basic_overrides(model_folder, data, tmp_path / "loops.yaml", tmp_path)
        with initialize_config_module("verl.trainer.config", version_base=None):
            trainer = VarianceAwareTrainer(compose("ppo_trainer", [*basic, *overrides]))
        trainer._init_tokenizer()
        trainer._init_dataloader()
        trainer.global_steps = 1
        return trainer

    return make


def batch_of(trainer: VarianceAwareTrainer, num: int | None = None) -> list[str]:
    return list(trainer._next_train_batch(num)["index"])


def test_verl_reads_the_rows_that_we_export(trainer_over):
    dataset = trainer_over().train_dataset
    row, prompt = dataset[3], scenario.prompts()[3]
    assert len(dataset) == scenario.NUM_PROMPTS
    assert row["index"] == prompt.id
    assert row["reward_model"]["ground_truth"] == prompt.answer
    assert row["raw_prompt"][-1] == {"role": "user", "content": prompt.question}
    assert row["extra_info"]["kind"] == "number"


def test_verl_puts_pictures_where_the_question_marks_them(model_folder, tmp_path):
    from verl.utils.dataset.rl_dataset import RLHFDataset

    def picture(shade: int) -> ImageRef:
        buffer = io.BytesIO()
        Image.new("RGB", (30, 20), (shade, 0, 0)).save(buffer, "PNG")
        return ImageRef(data=buffer.getvalue(), path=f"{shade}.png")

    prompts = [
        Prompt(id="a", question="How long?", answer="5", images=(picture(10),)),
        Prompt(
            id="b",
            question="Is <image> redder than <image>?",
            answer="B",
            choices=("yes", "no"),
            images=(picture(20), picture(30)),
        ),
        Prompt(id="c", question="1 + 1?", answer="2"),
    ]
    write_exports(tmp_path, ("verl",), {"rl": prompts})
    with initialize_config_module("verl.trainer.config", version_base=None):
        config = compose("ppo_trainer", ["actor_rollout_ref.rollout.name=vllm"])
    # Any processor: verl asks only whether there is one.
    dataset = RLHFDataset(
        str(tmp_path / "verl" / "rl.parquet"), scenario.tokenizer(), config.data, object()
    )
    first, second, third = (dataset[place]["raw_prompt"][-1]["content"] for place in range(3))
    assert [part["type"] for part in first] == ["image", "text"]
    assert [part["type"] for part in second] == ["text", "image", "text", "image", "text"]
    shades = [part["image"].getpixel((0, 0))[0] for part in second if part["type"] == "image"]
    assert shades == [20, 30]
    assert third == "1 + 1?"
    assert dataset[1]["extra_info"]["choices"] == ["yes", "no"]


def resumed_from(saved: VarianceAwareTrainer, trainer: VarianceAwareTrainer, file: Path) -> None:
    """Load the data loader's state as verl loads it."""
    torch.save(saved.train_dataloader.state_dict(), file)
    trainer.train_dataloader.load_state_dict(torch.load(file, weights_only=False))
    trainer.train_dataloader_it = iter(trainer.train_dataloader)


@pytest.mark.parametrize("name", scenario.SAMPLERS)
def test_the_data_loader_yields_what_is_drawn_and_resumes_exactly(trainer_over, tmp_path, name):
    chosen = f"+vasari.sampler.name={name}"
    whole, resumed = trainer_over(chosen), trainer_over(chosen)
    for _ in range(3):
        batch_of(whole)
        whole.chosen.run.batch += 1
    resumed_from(whole, resumed, tmp_path / "data.pt")
    assert resumed.chosen.run.batch == 3
    assert [batch_of(resumed) for _ in range(6)] == [batch_of(whole) for _ in range(6)]


@pytest.mark.parametrize(
    ("changed", "size"), [("data.train_batch_size=6", 6), ("data.gen_batch_size=2", 4)]
)
def test_a_resumed_training_may_have_another_batch_size(trainer_over, tmp_path, changed, size):
    uniform = "+vasari.sampler.name=uniform"
    before, resumed = trainer_over(uniform), trainer_over(uniform, changed)
    batch_of(before)
    resumed_from(before, resumed, tmp_path / "data.pt")
    bare = scenario.sampler("uniform")
    bare.draw(scenario.PROMPTS_A_BATCH)
    expected = [bare.draw(size).indices.tolist() for _ in range(4)]
    found = [batch_of(resumed) for _ in range(4)]
    assert found == [[f"sum-{place:02d}" for place in batch] for batch in expected]


def test_another_pool_is_refused_with_what_differs(trainer_over, with_infos, tmp_path):
    whole = trainer_over()
    batch_of(whole)
    changed = [{"index": p.id if n else "another"} for n, p in enumerate(scenario.prompts())]
    other = trainer_over(data=with_infos(changed))
    with pytest.raises(StateError, match="another pool: 1 of 24 saved prompts are missing, first"):
        resumed_from(whole, other, tmp_path / "data.pt")


def test_a_data_set_of_one_s_own_must_keep_its_rows(trainer_over, tmp_path):
    own = tmp_path / "own.py"
    own.write_text(
        "from verl.utils.dataset.rl_dataset import RLHFDataset\n\n\n"
        "class Twice(RLHFDataset):\n"
        "    def __len__(self):\n"
        "        return 2 * len(self.dataframe)\n"
    )
    with pytest.raises(ConfigError, match="Twice must keep one row a prompt"):
        trainer_over(f"data.custom_cls.path={own}", "data.custom_cls.name=Twice")


def test_with_filtering_prompts_are_fetched_one_by_one_in_the_order_of_the_draw(trainer_over):
    trainer = trainer_over("+vasari.sampler.name=uniform", "algorithm.filter_groups.enable=True")
    assert trainer.config.data.gen_batch_size == 1
    sampler = scenario.sampler("uniform")
    sizes = (4, 3, 1, 4)
    found = [batch_of(trainer, size) for size in sizes]
    expected = [sampler.draw(size).indices.tolist() for size in sizes]
    assert found == [[f"sum-{place:02d}" for place in batch] for batch in expected]


def test_shuffling_by_verl_changes_nothing(trainer_over):
    draws = [
        [batch_of(trainer) for _ in range(4)]
        for trainer in (trainer_over("data.shuffle=True"), trainer_over("data.shuffle=False"))
    ]
    assert draws[0] == draws[1]


def test_the_seed_of_the_data_seeds_the_sampler_unless_it_has_one(trainer_over):
    drawn = [
        [batch_of(trainer) for _ in range(3)]
        for trainer in (
            trainer_over("data.seed=1"),
            trainer_over("data.seed=2"),
            trainer_over("data.seed=2", "+vasari.sampler.seed=1"),
        )
    ]
    assert drawn[0] != drawn[1]
    assert drawn[0] == drawn[2]


def test_how_groups_are_replaced_reaches_the_replay_buffer(trainer_over):
    filtered = "algorithm.filter_groups.enable=True"
    known = trainer_over(filtered).replay_buffer
    changed = trainer_over(
        filtered, "+vasari.refill=early", "+vasari.max_generations=3"
    ).replay_buffer
    assert (known.waits, known.max_generations) == (True, 10)
    assert (changed.waits, changed.max_generations) == (False, 3)


@pytest.fixture
def with_infos(data_file, tmp_path):
    """The pool with other `extra_info`."""

    def write(infos: list[dict[str, object]]) -> Path:
        table = pq.read_table(data_file)
        place = table.column_names.index("extra_info")
        found = tmp_path / "other.parquet"
        pq.write_table(table.set_column(place, "extra_info", pa.array(infos)), found)
        return found

    return write


def test_rows_without_an_index_are_refused(trainer_over, with_infos):
    data = with_infos([{"split": "train"}] * scenario.NUM_PROMPTS)
    with pytest.raises(DataError, match="24 of 24 rows have no extra_info"):
        trainer_over(data=data)


def test_indices_that_repeat_are_refused(trainer_over, with_infos):
    data = with_infos([{"index": n % 20} for n in range(scenario.NUM_PROMPTS)])
    with pytest.raises(DataError, match="stands 2 times"):
        trainer_over(data=data)


def test_two_files_that_both_count_from_0_are_refused(trainer_over, data_file):
    with pytest.raises(DataError, match="'sum-00' stands 2 times, first in rows 0 and 24"):
        trainer_over(f"data.train_files=[{data_file},{data_file}]")


def test_a_pool_smaller_than_a_batch_is_refused(trainer_over):
    with pytest.raises(ConfigError, match="the pool has 24 prompts and a batch draws 32"):
        trainer_over("data.train_batch_size=32")


def test_a_setting_that_the_sampler_does_not_have_is_refused(trainer_over):
    with pytest.raises(ConfigError, match="has no setting 'powr'"):
        trainer_over("+vasari.sampler.powr=3")


def test_without_log_probabilities_a_sampler_that_uses_them_says_so(trainer_over, caplog):
    trainer_over("actor_rollout_ref.rollout.calculate_log_probs=False")
    assert "rollout.calculate_log_probs=True" in caplog.text
    caplog.clear()
    trainer_over(
        "actor_rollout_ref.rollout.calculate_log_probs=False", "+vasari.sampler.coherence=false"
    )
    assert "calculate_log_probs" not in caplog.text


def test_the_first_line_names_the_sampler_and_the_pool(trainer_over, caplog):
    trainer_over("+vasari.sampler.name=vas", "+vasari.sampler.refresh_every=9")
    (line,) = [line for line in caplog.messages if "prompts are chosen by" in line]
    assert "'vas' over 24 prompts" in line
    assert "refresh_every=9" in line


def test_nothing_is_fetched_ahead_of_a_draw(trainer_over):
    trainer = trainer_over("+vasari.sampler.name=uniform")
    batch_of(trainer)
    drawn = trainer.chosen.draw(2).indices.tolist()
    assert list(itertools.islice(trainer.chosen, 2)) == drawn
