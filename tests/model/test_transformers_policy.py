import dataclasses

import numpy as np
import pytest
import torch
from stand_ins import inputs_of

from vasari.core.errors import ImageError, StateError
from vasari.model.base import Decoding
from vasari.model.transformers_policy import load_model
from vasari.records import ImageRef

DRAWN = Decoding(num_rollouts=3, max_tokens=8)
GREEDY = Decoding(num_rollouts=1, temperature=0, max_tokens=6)


def tokens(groups):
    return [[rollout.token_ids.tolist() for rollout in group] for group in groups]


def test_the_same_seed_gives_the_same_rollouts(tiny_policy, mixed_prompts):
    first = tiny_policy.generate(mixed_prompts[:3], DRAWN, seed=5)
    again = tiny_policy.generate(mixed_prompts[:3], DRAWN, seed=5)
    other = tiny_policy.generate(mixed_prompts[:3], DRAWN, seed=6)
    assert tokens(first) == tokens(again) != tokens(other)


def test_the_global_random_state_is_left_as_it_was(tiny_policy, image_prompts):
    torch.manual_seed(9)
    before = torch.get_rng_state()
    tiny_policy.generate(image_prompts[:2], DRAWN, seed=0)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("training", [True, False])
def test_the_models_mode_is_left_as_it_was(tiny_policy, image_prompts, training):
    tiny_policy.model.train(training)
    tiny_policy.generate(image_prompts[:1], GREEDY, seed=0)
    assert tiny_policy.model.training is training


def test_groups_come_in_the_order_of_the_prompts_and_of_the_asked_size(tiny_policy, mixed_prompts):
    groups = tiny_policy.generate(mixed_prompts, DRAWN, seed=0)
    assert [len(group) for group in groups] == [3] * len(mixed_prompts)


def test_a_prompts_rollouts_are_generated_in_parts_no_larger_than_a_batch(
    tiny_policy, image_prompts
):
    sizes = []
    generate = tiny_policy.model.generate

    def counted(**inputs):
        found = generate(**inputs)
        sizes.append(len(found.sequences))
        return found

    tiny_policy.model.generate = counted
    decoding = Decoding(num_rollouts=5, max_tokens=6, batch_rollouts=2)
    groups = tiny_policy.generate(image_prompts[:2], decoding, seed=0)
    assert sizes == [2, 2, 1] * 2
    assert [len(group) for group in groups] == [5, 5]
    assert len({str(rollout.token_ids) for rollout in groups[0]}) > 1


def test_greedy_decoding_is_the_argmax_of_the_logits(tiny_policy, image_prompts):
    prompt = image_prompts[0]
    ((rollout,),) = tiny_policy.generate([prompt], GREEDY, seed=0)
    inputs = inputs_of(tiny_policy, [prompt], shown="shown")
    ids, expected = inputs["input_ids"], []
    forbidden = tiny_policy.model.config.image_token_id
    for _ in range(GREEDY.max_tokens):
        tiny_policy.model.model.rope_deltas = None
        kinds = torch.cat(
            [
                inputs["mm_token_type_ids"],
                torch.zeros(1, ids.shape[1] - inputs["input_ids"].shape[1]).long(),
            ],
            1,
        )
        logits = tiny_policy.model(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            pixel_values=inputs["pixel_values"],
            image_grid_thw=inputs["image_grid_thw"],
            mm_token_type_ids=kinds,
        ).logits[0, -1]
        logits[forbidden] = -torch.inf
        expected.append(int(logits.argmax()))
        ids = torch.cat([ids, torch.tensor([[expected[-1]]])], dim=1)
        if expected[-1] == tiny_policy.model.generation_config.eos_token_id:
            break
    assert rollout.token_ids.tolist() == expected


def test_a_prompt_is_answered_alike_alone_and_in_a_mixed_batch(tiny_policy, mixed_prompts):
    together = tiny_policy.generate(mixed_prompts, GREEDY, seed=0)
    alone = [tiny_policy.generate([prompt], GREEDY, seed=0)[0] for prompt in mixed_prompts]
    assert tokens(together) == tokens(alone)


def test_a_text_batch_after_images_equals_one_on_a_fresh_model(fresh_policy, mixed_prompts):
    texts = [prompt for prompt in mixed_prompts if not prompt.images]
    used = fresh_policy()
    used.generate([p for p in mixed_prompts if p.images], DRAWN, seed=1)
    assert tokens(used.generate(texts, DRAWN, seed=2)) == tokens(
        fresh_policy().generate(texts, DRAWN, seed=2)
    )


def test_the_blind_control_answers_as_if_there_were_no_images(tiny_policy, image_prompts):
    blind = Decoding(num_rollouts=2, max_tokens=8, images="removed")
    without = [dataclasses.replace(prompt, images=()) for prompt in image_prompts[:3]]
    expected = tiny_policy.generate(without, DRAWN.model_copy(update={"num_rollouts": 2}), seed=4)
    assert tokens(tiny_policy.generate(image_prompts[:3], blind, seed=4)) == tokens(expected)


def test_a_white_page_hides_the_picture_and_keeps_the_form(tiny_policy, image_prompts):
    blind = Decoding(num_rollouts=2, max_tokens=8, images="blank")
    prompt, other = image_prompts[:2]
    swapped = dataclasses.replace(prompt, images=other.images)
    assert tokens(tiny_policy.generate([prompt], blind, seed=4)) == tokens(
        tiny_policy.generate([swapped], blind, seed=4)
    )
    assert torch.equal(
        inputs_of(tiny_policy, [prompt], shown="blank")["input_ids"],
        inputs_of(tiny_policy, [prompt], shown="shown")["input_ids"],
    )


def test_images_change_what_is_answered(tiny_policy, image_prompts):
    prompt, other = image_prompts[:2]
    swapped = dataclasses.replace(prompt, images=other.images)
    decoding = Decoding(num_rollouts=8, max_tokens=8)
    assert tokens(tiny_policy.generate([prompt], decoding, seed=0)) != tokens(
        tiny_policy.generate([swapped], decoding, seed=0)
    )


def test_an_image_token_is_never_sampled(tiny_policy, image_prompts):
    model = tiny_policy.model
    image_token = model.config.image_token_id
    # A model that wants nothing else: its output layer pays the image token most, whatever the
    # state.
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    model.lm_head.register_forward_hook(
        lambda module, args, logits: logits.index_fill(-1, torch.tensor([image_token]), 50.0)
    )
    groups = tiny_policy.generate(image_prompts[:2], DRAWN, seed=0)
    drawn = np.concatenate([rollout.token_ids for group in groups for rollout in group])
    assert image_token not in drawn


def test_a_rollout_ends_with_its_first_end_token(tiny_policy, image_prompts):
    model = tiny_policy.model
    end = model.generation_config.eos_token_id
    model.lm_head.register_forward_hook(
        lambda module, args, logits: logits.index_add(
            -1, torch.tensor([end]), torch.full((*logits.shape[:-1], 1), 2.5)
        )
    )
    rollouts = [
        r
        for g in tiny_policy.generate(
            image_prompts[:4], Decoding(num_rollouts=8, max_tokens=12), seed=0
        )
        for r in g
    ]
    assert {r.truncated for r in rollouts} == {True, False}
    for rollout in rollouts:
        ids = rollout.token_ids.tolist()
        assert (ids[-1] != end) == rollout.truncated
        assert end not in ids[:-1]
        assert len(ids) == 12 or not rollout.truncated


def test_progress_is_told_prompt_by_prompt(tiny_policy, image_prompts):
    told = []
    decoding = Decoding(num_rollouts=2, max_tokens=2, batch_rollouts=4)
    tiny_policy.generate(
        image_prompts[:5],
        decoding,
        seed=0,
        tell=lambda done, total, note="": told.append((done, total)),
    )
    assert told == [(2, 5), (4, 5), (5, 5)]


def test_a_damaged_image_names_its_prompt(tiny_policy, image_prompts):
    damaged = dataclasses.replace(
        image_prompts[0], images=(ImageRef(data=image_prompts[0].images[0].data[:60]),)
    )
    with pytest.raises(ImageError, match=f"prompt '{damaged.id}'.*truncated or damaged"):
        tiny_policy.generate([damaged], GREEDY, seed=0)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(StateError, match="no model can be loaded from it"):
        load_model(str(tmp_path))
