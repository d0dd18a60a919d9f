"""Rollouts of every family against greedy decoding by hand, on the logits of transformers' model.

The tokens that stand for images are written down here as the published tokenizers have them.
"""

from __future__ import annotations

import dataclasses

import pytest
import torch
from stand_ins import IMAGE_FAMILIES, STAND_INS, SYSTEM, mixed_pool
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

from vasari.core.errors import DataError
from vasari.data.images import open_image
from vasari.model.base import Decoding
from vasari.model.chat import user_text
from vasari.model.check import check_policy
from vasari.model.processor import load_processor, tokenizer_of
from vasari.model.transformers_policy import TransformersPolicy, load_model

GREEDY = Decoding(num_rollouts=1, temperature=0, max_tokens=4)
_QWEN = ("<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>")
_TILES = [f"row_{row}_col_{column}" for row in range(1, 7) for column in range(1, 7)]
_IDEFICS = ("<image>", "<fake_token_around_image>", *(f"<{tile}>" for tile in _TILES))
NEVER = {
    "qwen2_5_vl": _QWEN,
    "qwen2_vl": _QWEN,
    "qwen3_vl": _QWEN,
    "qwen3_5": _QWEN,
    "gemma3": ("<start_of_image>", "<end_of_image>", "<image_soft_token>"),
    "gemma4": (
        *("<|image|>", "<|image>", "<image|>", "<|video|>"),
        *("<|audio|>", "<|audio>", "<audio|>"),
    ),
    "smolvlm2": (*_IDEFICS, "<global-img>"),
    "idefics3": (*_IDEFICS, "<global-img>"),
    "internvl3": ("<img>", "</img>", "<IMG_CONTEXT>", "<video>"),
    "glm4v": (
        *("<|image|>", "<|begin_of_image|>", "<|end_of_image|>"),
        *("<|video|>", "<|begin_of_video|>", "<|end_of_video|>"),
    ),
    "llava_onevision": ("<image>", "<video>"),
    "llava_next": ("<image>",),
    "lfm2_vl": (
        *("<image>", "<|image_start|>", "<|image_end|>", "<|img_thumbnail|>"),
        *(f"<|img_row_{row}_col_{column}|>" for row in (1, 2, 3) for column in (1, 2, 3)),
    ),
    "qwen2_text": (),
    "qwen3_text": (),
}


def pool(name):
    """A prompt of each kind that a family can be shown."""
    return [one for one in mixed_pool(1) if STAND_INS[name].has_images or not one.images]


def inputs_by_hand(processor, prompt):
    """What transformers' processor makes of one prompt."""
    shown = [{"type": "image", "image": open_image(ref)} for ref in prompt.images]
    question = {"type": "text", "text": user_text(prompt)}
    is_text = processor is tokenizer_of(processor)
    conversation = [
        {"role": "system", "content": SYSTEM if is_text else [{"type": "text", "text": SYSTEM}]},
        {"role": "user", "content": user_text(prompt) if is_text else [*shown, question]},
    ]
    return processor.apply_chat_template(
        [conversation],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )


def greedy_by_hand(model, inputs, *, never, ends, max_tokens=GREEDY.max_tokens):
    """Greedy tokens of one prompt, each by a forward pass over all of it, without a cache."""
    drawn = []
    for _ in range(max_tokens):
        if hasattr(model.model, "rope_deltas"):
            model.model.rope_deltas = None
        longer = dict(inputs)
        tail = torch.tensor([drawn], dtype=torch.long)
        longer["input_ids"] = torch.cat([inputs["input_ids"], tail], 1)
        for column, fill in (
            ("attention_mask", 1),
            ("token_type_ids", 0),
            ("mm_token_type_ids", 0),
        ):
            if column in inputs:
                longer[column] = torch.cat([inputs[column], torch.full_like(tail, fill)], 1)
        with torch.no_grad():
            logits = model(**longer, use_cache=False).logits[0, -1]
        logits[never] = -torch.inf
        drawn.append(int(logits.argmax()))
        if drawn[-1] in ends:
            break
    return drawn


@pytest.fixture
def policy(request, family_folder):
    folder = str(family_folder(request.param))
    return TransformersPolicy(
        load_model(folder, dtype="float32"), load_processor(folder), system=SYSTEM
    )


every_family = pytest.mark.parametrize(
    ("policy", "name"),
    [(name, name) for name in STAND_INS],
    indirect=["policy"],
    ids=list(STAND_INS),
)
every_image_family = pytest.mark.parametrize(
    ("policy", "name"),
    [(name, name) for name in IMAGE_FAMILIES],
    indirect=["policy"],
    ids=list(IMAGE_FAMILIES),
)


@every_family
def test_rollouts_of_a_mixed_batch_are_the_models_greedy_tokens(policy, name, family_folder):
    folder = str(family_folder(name))
    kind = AutoModelForImageTextToText if STAND_INS[name].has_images else AutoModelForCausalLM
    model = kind.from_pretrained(folder, dtype="float32").eval()
    processor = load_processor(folder)
    never = tokenizer_of(processor).convert_tokens_to_ids(list(NEVER[name]))
    recommended = model.generation_config.eos_token_id
    ends = {tokenizer_of(processor).eos_token_id} | set(
        recommended if isinstance(recommended, list) else [recommended]
    )
    expected = [
        greedy_by_hand(model, inputs_by_hand(processor, prompt), never=never, ends=ends)
        for prompt in pool(name)
    ]
    groups = policy.generate(pool(name), GREEDY, seed=0)
    assert [group[0].token_ids.tolist() for group in groups] == expected


@every_family
def test_a_batch_of_text_after_images_is_answered_as_alone(policy, name):
    texts = [one for one in pool(name) if not one.images]
    before = policy.generate(texts, GREEDY, seed=0)
    policy.generate(pool(name), GREEDY, seed=0)
    after = policy.generate(texts, GREEDY, seed=0)
    assert [group[0].token_ids.tolist() for group in before] == [
        group[0].token_ids.tolist() for group in after
    ]


@every_family
def test_no_token_that_stands_for_an_image_is_sampled(policy, name):
    tokenizer = tokenizer_of(policy.processor)
    never = tokenizer.convert_tokens_to_ids(list(NEVER[name]))
    assert tokenizer.unk_token_id not in never
    paid = torch.tensor([*never, *tokenizer.convert_tokens_to_ids(["a"])])
    # A model that wants nothing else: the output layer pays these tokens most, whatever the state.
    policy.model.lm_head.register_forward_hook(
        lambda module, args, logits: logits.index_fill(-1, paid, 50.0)
    )
    drawing = Decoding(num_rollouts=4, max_tokens=4)
    drawn = [
        token
        for group in policy.generate(pool(name)[:2], drawing, seed=0)
        for rollout in group
        for token in rollout.token_ids.tolist()
    ]
    assert not set(drawn) & set(never)


@pytest.mark.slow
@pytest.mark.heavy
@every_image_family
def test_a_familys_policy_passes_the_check_that_any_policy_must(policy, name):
    check_policy(policy, max_tokens=6)


@every_image_family
def test_an_image_token_typed_in_a_question_is_refused(policy, name):
    text, image, *_ = mixed_pool(1)
    for token in NEVER[name]:
        typed = dataclasses.replace(text, question=f"What is {token}?", id="typed")
        with pytest.raises(DataError, match=r"prompt 'typed'.*(text holds|question marks 1 image)"):
            policy.generate([image, typed], GREEDY, seed=0)


@pytest.mark.parametrize("policy", ["qwen3_text"], indirect=True)
def test_a_text_model_refuses_a_prompt_with_an_image_unless_it_is_removed(policy):
    prompt = mixed_pool(1)[1]
    with pytest.raises(DataError, match=f"prompt '{prompt.id}' has an image"):
        policy.generate([prompt], GREEDY, seed=0)
    blind = GREEDY.model_copy(update={"images": "removed"})
    assert len(policy.generate([prompt], blind, seed=0)) == 1


@pytest.mark.parametrize("policy", ["qwen2_5_vl"], indirect=True)
def test_adapters_that_add_nothing_change_no_rollout_whatever_the_model_recommends(policy):
    from peft import LoraConfig, get_peft_model

    prompts, drawing = mixed_pool(1), Decoding(num_rollouts=2, max_tokens=6)
    policy.model.generation_config.repetition_penalty = 3.0
    policy.model.generation_config.top_k = 1
    before = policy.generate(prompts, drawing, seed=3)
    adapted = get_peft_model(policy.model, LoraConfig(target_modules=["q_proj"]))
    after = TransformersPolicy(adapted, policy.processor, system=SYSTEM).generate(
        prompts, drawing, seed=3
    )
    assert [[one.text for one in group] for group in before] == [
        [one.text for one in group] for group in after
    ]
    assert any(group[0].text != group[1].text for group in before)
    assert adapted.generation_config.repetition_penalty == 3.0
