import copy
import dataclasses
import pickle
import re

import pytest

from vasari.core.errors import DataError, ImageError
from vasari.model.chat import target_text
from vasari.records import ImageRef
from vasari.train.prompt_data import ChatCollator
from vasari.train.settings import SftSettings

SYSTEM = "Think, then answer."


@pytest.fixture
def collate(tiny_processor):
    def run(prompts, target="reasoning", rows=None, **options):
        collator = ChatCollator(
            prompts, tiny_processor, SftSettings(target=target, **options), system=SYSTEM
        )
        return collator(rows or [{"index": i} for i in range(len(prompts))])

    return run


def learnt(batch, processor):
    """What each row of a batch teaches, as text, its end tokens included."""
    tokenizer = processor.tokenizer
    return [tokenizer.decode(labels[labels != -100].tolist()) for labels in batch["labels"]]


def test_the_labels_are_the_targets_and_their_end_token(collate, tiny_processor, image_prompts):
    expected = [target_text(prompt) + "<|im_end|>" for prompt in image_prompts[:4]]
    assert learnt(collate(image_prompts[:4]), tiny_processor) == expected


def test_a_short_target_is_the_bare_answer(collate, tiny_processor, image_prompts):
    batch = collate(image_prompts[:3], target="short")
    assert learnt(batch, tiny_processor) == [
        prompt.answer + "<|im_end|>" for prompt in image_prompts[:3]
    ]


def test_a_label_is_the_token_at_its_place(collate, image_prompts):
    batch = collate(image_prompts[:4])
    spoken = batch["labels"] != -100
    assert (batch["labels"][spoken] == batch["input_ids"][spoken]).all()
    assert batch["attention_mask"][spoken].all()


def test_prompts_with_none_one_and_two_images_share_a_batch(collate, mixed_prompts, tiny_processor):
    batch = collate(mixed_prompts[:3], target="short")
    assert len(batch["image_grid_thw"]) == 0 + 1 + 2
    per_row = (batch["input_ids"] == tiny_processor.image_token_id).sum(1)
    assert per_row.tolist() == [0, 4, 8]  # 56 x 56 pixels are 4 x 4 patches, merged by 2 x 2


def test_a_batch_without_images_has_no_pixels(collate, mixed_prompts):
    texts = [prompt for prompt in mixed_prompts if not prompt.images]
    assert "pixel_values" not in collate(texts, target="short")


def test_facts_are_answers_about_one_image(collate, tiny_processor, image_prompts):
    prompt = image_prompts[0]
    batch = collate([prompt], target="facts", facts_per_image=3)
    answers = learnt(batch, tiny_processor)[0].split("<|im_end|>")[:-1]
    known = {str(answer) for _, answer in prompt.metadata["facts"]}
    assert len(answers) == min(3, len(prompt.metadata["facts"]))
    assert set(answers) <= known
    assert len(batch["image_grid_thw"]) == 1


def test_each_visit_asks_other_facts_and_the_same_visit_the_same(collate, image_prompts):
    rows = [{"index": 0, "visit": visit} for visit in (0, 1, 2, 0)]
    asked = [
        tuple(row.tolist())
        for row in collate(image_prompts, "facts", rows, facts_per_image=2, sums_per_image=1)[
            "input_ids"
        ]
    ]
    assert asked[0] == asked[3]
    assert len(set(asked)) > 1


def test_sums_follow_the_facts(collate, tiny_processor, image_prompts):
    batch = collate(image_prompts[:1], target="facts", facts_per_image=1, sums_per_image=2)
    answers = learnt(batch, tiny_processor)[0].split("<|im_end|>")[:-1]
    assert len(answers) == 3
    assert all(answer.isdigit() for answer in answers[1:])


def test_reading_comes_first_and_named_sums_last(collate, tiny_processor, image_prompts):
    prompt = image_prompts[0]
    batch = collate([prompt], target="facts", facts_per_image=1, reads=True, named_sums_per_image=2)
    answers = learnt(batch, tiny_processor)[0].split("<|im_end|>")[:-1]
    assert len(answers) == 4
    assert answers[0] == f"{prompt.metadata['reads']}."
    concludes = r"=|\b(larger|smaller|taller|shorter|more|exactly|over|yes)\b"
    assert all(re.search(concludes, answer) for answer in answers[2:])


def test_a_collator_survives_the_way_to_a_worker(tiny_processor, image_prompts):
    collator = ChatCollator(
        image_prompts, tiny_processor, SftSettings(target="short"), system=SYSTEM
    )
    again = pickle.loads(pickle.dumps(collator))  # noqa: S301  (as a loader's workers get it)
    assert (again([{"index": 1}])["input_ids"] == collator([{"index": 1}])["input_ids"]).all()


def test_a_prompt_without_facts_is_refused(collate, mixed_prompts):
    with pytest.raises(DataError, match=r"prompt 'text-0' has no facts to learn from"):
        collate(mixed_prompts[:1], target="facts")


def test_a_template_that_marks_no_answers_teaches_the_same(collate, tiny_processor, image_prompts):
    plain = copy.deepcopy(tiny_processor)
    template = plain.chat_template.replace("{% generation %}", "").replace(
        "{% endgeneration %}", ""
    )
    plain.chat_template = plain.tokenizer.chat_template = template
    collator = ChatCollator(image_prompts, plain, SftSettings(target="short"), system=SYSTEM)
    one, other = collator([{"index": 0}]), collate(image_prompts[:1], target="short")
    assert learnt(one, plain) == learnt(other, tiny_processor)


def test_a_prompt_longer_than_the_context_is_named(tiny_processor, image_prompts):
    collator = ChatCollator(
        image_prompts, tiny_processor, SftSettings(target="short"), system=SYSTEM, context=20
    )
    with pytest.raises(DataError, match=rf"prompt '{image_prompts[0].id}' has \d+ tokens with its"):
        collator([{"index": 0}])


def test_a_text_only_model_refuses_images_and_learns_from_text(tiny_processor, mixed_prompts):
    tokenizer = tiny_processor.tokenizer
    collator = ChatCollator(mixed_prompts, tokenizer, SftSettings(target="short"), system=SYSTEM)
    assert learnt(collator([{"index": 0}]), tiny_processor) == [
        mixed_prompts[0].answer + "<|im_end|>"
    ]
    with pytest.raises(DataError, match=r"^prompt .* has an image, and the model reads text only"):
        collator([{"index": 1}])


def test_a_missing_image_names_its_prompt(collate, image_prompts):
    lost = dataclasses.replace(image_prompts[0], images=(ImageRef(path="/nowhere/a.png"),))
    with pytest.raises(
        ImageError, match=f"prompt '{lost.id}': the file '/nowhere/a.png' is missing"
    ):
        collate([lost])


def test_a_batch_without_images_gets_a_blank_one_where_each_batch_needs_some(
    mixed_prompts, tiny_processor
):
    settings = SftSettings(target="short")
    plain, shows = (
        ChatCollator(mixed_prompts, tiny_processor, settings, system=SYSTEM, always_shows=always)
        for always in (False, True)
    )
    texts = [{"index": i} for i, prompt in enumerate(mixed_prompts) if not prompt.images][:2]
    expected, batch = plain(texts), shows(texts)
    assert "pixel_values" not in expected
    assert len(batch["image_grid_thw"]) == 1
    assert len(batch["input_ids"]) == len(texts) + 1
    assert (batch["labels"][-1] == -100).all()
    for name in ("input_ids", "labels", "attention_mask"):
        for found, row in zip(batch[name], expected[name], strict=False):
            width = min(len(found), len(row))
            assert found[:width].tolist() == row[:width].tolist()
    # One that has images stays as it is.
    with_images = [{"index": i} for i, prompt in enumerate(mixed_prompts) if prompt.images][:2]
    assert shows(with_images).keys() == plain(with_images).keys()
    assert len(shows(with_images)["input_ids"]) == 2
