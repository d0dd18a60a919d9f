"""What supervision in the place of GRPO is taught, for how long, and the means over runs."""

import pytest

import sft_instead
from vasari.model.chat import target_text
from vasari.records import Prompt
from vasari.train.batches import sft_steps
from vasari.train.settings import SftSettings


def test_a_rollout_is_taught_word_for_word_with_the_answer_that_it_reached():
    prompt = Prompt(
        id="q", question="What is red plus blue?", answer="5", metadata={"final": "5", "a": 1}
    )
    text = "<think>red 2. blue 4. 2+4=6.</think><answer>\\boxed{6}</answer>"
    taught = sft_instead.as_solution(prompt, text, 3)
    assert target_text(taught) == text
    assert (taught.id, taught.metadata["a"]) == ("q-3", 1)


@pytest.mark.parametrize(
    "text",
    [
        "2+3=5. \\boxed{5}",
        "<think>2+3=5.</think><answer>\\boxed{5}</answer> and more",
        "<think></think><answer>\\boxed{5}</answer>",
        "<think>2+3=5.</think> <answer>\\boxed{5}</answer>",
    ],
)
def test_a_rollout_of_another_form_is_not_taught(text):
    assert sft_instead.as_solution(Prompt(id="q", question="?", answer="5"), text, 0) is None


@pytest.mark.parametrize(("steps", "examples"), [(252, 6500), (336, 21504), (10, 64), (3, 999)])
def test_supervision_takes_as_many_steps_as_it_is_given(steps, examples):
    given = SftSettings(batch_prompts=64, patience=2)
    settings = sft_instead.for_steps(given, steps, examples, 3e-4)
    assert sft_steps(settings, num_prompts=examples) == steps
    assert settings.patience >= steps
    assert settings.trl.learning_rate == 3e-4


def test_differences_to_grpo_are_paired_by_run():
    parts = [
        {"untaught": {m: {"uniform": a, "more_sft": b} for m in sft_instead.MEASURES}}
        for a, b in ((0.9, 0.5), (0.8, 0.6))
    ]
    text = sft_instead.table({f"seed{place}": part for place, part in enumerate(parts)})
    # By hand: 40 and 20 points; t(0.975, 1) = 12.706 times the standard error of 10.
    assert "| untaught | greedy | more_sft | 0.500, 0.600 | +30.0 (-97.1 to +157.1) |" in text
    assert "| untaught | greedy | uniform | 0.900, 0.800 | - |" in text
