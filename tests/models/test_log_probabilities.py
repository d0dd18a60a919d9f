"""What GRPO learns from is what a plain forward pass says, one rollout at a time.

For every family, from batches that mix prompts without, with one and with two images of different
sizes: the log-probabilities in the loss, those of the policy that drew the rollouts, and those of
the reference.
"""

from __future__ import annotations

import shutil

import pytest
import torch
from stand_ins import IMAGE_FAMILIES, STAND_INS, SYSTEM, mixed_pool
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

from vasari.data.images import open_image
from vasari.model.chat import chat_messages
from vasari.model.processor import load_processor
from vasari.records import Outcome, Verdict
from vasari.sample import make_sampler
from vasari.train.run_grpo import GrpoTraining
from vasari.train.settings import GrpoSettings

TEMPERATURE = 0.8
CLOSE = {"atol": 1e-4, "rtol": 0.0}
ROUNDS_BY_PADDING = {"qwen3_5": {"atol": 5e-4, "rtol": 0.0}}
"""Of linear attention over a padded batch, in float32; `checks/double.py` compares it in float64."""
LORA = {"rank": 2, "alpha": 8}
SCALES = {"qwen3_5": 1.5}
"""Factors of an untrained model's weights, so that what it says depends on its images; of one with
linear attention smaller, since its rounding errors grow with them."""

CASES = {
    # Rollouts without advantage are left out of the loss, as there is no KL term.
    "one generation": {},
    "generations joined": {"gate": "mixed", "max_generations": 3},
    "screenings joined": {
        "gate": "two_stage",
        "rollouts_per_prompt": 4,
        "screening": {"rollouts": 2},
    },
    "a reference": {"trl": {"beta": 0.1}},
    "adapters, a reference, checkpointing": {
        "trl": {"beta": 0.1, "gradient_checkpointing": True},
        "lora": LORA,
    },
    "a frozen vision encoder": {"freeze_vision": True},
}


def odd_length(prompt, text):
    """A verdict that differs between the rollouts of an untrained model."""
    return Verdict(Outcome.CORRECT if len(text) % 2 else Outcome.INCORRECT)


class Training:
    """One batch of a training from a stand-in, and what its log-probabilities were."""

    def __init__(self, folder, out, prompts, **changes):
        self.folder, self.prompts = folder, prompts
        trl = {"temperature": TEMPERATURE, "max_completion_length": 4, "learning_rate": 1e-30}
        settings = {
            "steps": 2,
            "prompts_per_batch": 4,
            "rollouts_per_prompt": 2,
            "updates_per_batch": 2,
            "micro_batch": 2,
            "validate_every": 2,
            "save_every": 2,
        }
        settings |= changes | {"trl": trl | {"beta": 0.0} | changes.get("trl", {})}
        self.trainer = GrpoTraining(
            model_path=str(folder),
            prompts=prompts,
            sampler=make_sampler("uniform", num_prompts=len(prompts), seed=0),
            settings=GrpoSettings(**settings),
            system=SYSTEM,
            out=out,
            seed=0,
            verify=odd_length,
        ).make_trainer()
        self._move_away_from_the_start()
        self.in_the_loss, self.batches = [], []
        self._watch()
        self.trainer.train()

    def _move_away_from_the_start(self):
        torch.manual_seed(0)
        with torch.no_grad():
            for name, weight in self.trainer.model.named_parameters():
                if weight.requires_grad and "lora_A" not in name:
                    weight.add_(0.02 * torch.randn_like(weight))

    def _watch(self):
        trainer = self.trainer
        log_probabilities = trainer._get_per_token_logps_and_entropies
        make_batch = trainer._generate_and_score_completions

        def watched(model, ids, mask, num_tokens, *args, **kwargs):
            found = log_probabilities(model, ids, mask, num_tokens, *args, **kwargs)
            if torch.is_grad_enabled():
                columns = ids.shape[1] - num_tokens
                parts = (ids[:, :columns], mask[:, :columns], ids[:, columns:], mask[:, columns:])
                self.in_the_loss += rollouts(*parts, found[0].detach())
            return found

        def kept(rows):
            self.batches.append(make_batch(rows))
            return self.batches[-1]

        trainer._get_per_token_logps_and_entropies = watched
        trainer._generate_and_score_completions = kept

    def in_the_batch(self, name):
        fields = ("prompt_ids", "prompt_mask", "completion_ids", "completion_mask", name)
        return [one for batch in self.batches for one in rollouts(*(batch[key] for key in fields))]


def rollouts(prompt_ids, prompt_mask, ids, mask, values):
    """Prompt tokens, completion tokens and values of each rollout, without padding."""
    return [
        (tuple(prompt[seen.bool()].tolist()), own[kept.bool()], value[kept.bool()])
        for prompt, seen, own, kept, value in zip(
            prompt_ids, prompt_mask, ids, mask, values, strict=True
        )
    ]


class Plain:
    """transformers' model of a folder, asked about one rollout at a time."""

    def __init__(self, folder, prompts, weights=None):
        self.name = folder.name
        self.model = load(folder)
        if weights is not None:
            self.model.load_state_dict(weights)
        self.processor = load_processor(str(folder))
        self.encoded = [self.encode(prompt) for prompt in prompts]
        self.prompts = {tuple(one["input_ids"][0].tolist()): one for one in self.encoded}

    def encode(self, prompt):
        messages = chat_messages(prompt, system=SYSTEM)
        if not STAND_INS[self.name].has_images:
            messages = [
                {**turn, "content": "".join(part["text"] for part in turn["content"])}
                for turn in messages
            ]
        images = iter(prompt.images)
        for part in messages[-1]["content"] if prompt.images else ():
            if part["type"] == "image":
                part["image"] = open_image(next(images), where=prompt.id)
        inputs = self.processor.apply_chat_template(
            [messages],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
        return dict(inputs)

    @torch.no_grad()
    def log_probabilities(self, prompt_ids, ids, inputs=None):
        inputs = dict(self.prompts[prompt_ids] if inputs is None else inputs)
        inputs["input_ids"] = torch.cat([inputs["input_ids"], ids[None]], 1)
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        for name in ("token_type_ids", "mm_token_type_ids"):
            if name in inputs:
                inputs[name] = torch.cat([inputs[name], torch.zeros_like(ids)[None]], 1)
        logits = self.model(**inputs, use_cache=False).logits[0, -len(ids) - 1 : -1]
        return (logits / TEMPERATURE).log_softmax(-1).gather(1, ids[:, None])[:, 0]


def load(folder):
    has_images = STAND_INS[folder.name].has_images
    kind = AutoModelForImageTextToText if has_images else AutoModelForCausalLM
    return kind.from_pretrained(str(folder), dtype=torch.float32).eval()


def merged(model):
    """Weights of the policy, adapters added to those that they change."""
    if not hasattr(model, "get_base_model"):
        return model.state_dict()
    model.merge_adapter(["default"])
    weights = {
        name.replace(".base_layer", ""): value.clone()
        for name, value in model.get_base_model().state_dict().items()
        if "lora_" not in name
    }
    model.unmerge_adapter()
    return weights


@pytest.fixture(scope="module")
def seeing_folder(family_folder, tmp_path_factory):
    """The stand-in with larger weights."""
    made = {}

    def folder(name):
        if name not in made:
            source = family_folder(name)
            made[name] = tmp_path_factory.mktemp("seeing") / name
            shutil.copytree(source, made[name])
            model = load(made[name])
            with torch.no_grad():
                for weight in model.parameters():
                    if weight.ndim > 1:
                        weight.mul_(SCALES.get(name, 2.5))
            model.save_pretrained(made[name])
        return made[name]

    return folder


@pytest.fixture
def training(request, seeing_folder, tmp_path):
    name, case = request.param
    prompts = mixed_pool(1) if STAND_INS[name].has_images else mixed_pool(4)[::4]
    return Training(seeing_folder(name), tmp_path, prompts, **CASES[case])


def pairs():
    for name in STAND_INS:
        for case in CASES:
            if "vision" in case and name not in IMAGE_FAMILIES:
                continue
            often = case == "generations joined" or name == "qwen2_5_vl"
            marks = () if often else (pytest.mark.slow, pytest.mark.heavy)
            yield pytest.param((name, case), id=f"{name}-{case.replace(' ', '_')}", marks=marks)


@pytest.mark.parametrize("training", pairs(), indirect=True)
def test_log_probabilities_are_those_of_a_plain_forward_pass(training):
    policy = Plain(training.folder, training.prompts, merged(training.trainer.model))
    close = ROUNDS_BY_PADDING.get(training.folder.name, CLOSE)
    assert training.in_the_loss
    for prompt, ids, found in training.in_the_loss + training.in_the_batch("old_per_token_logps"):
        torch.testing.assert_close(found, policy.log_probabilities(prompt, ids), **close)
    if training.trainer.beta:
        start = Plain(training.folder, training.prompts)
        for prompt, ids, found in training.in_the_batch("ref_per_token_logps"):
            torch.testing.assert_close(found, start.log_probabilities(prompt, ids), **close)


@pytest.mark.parametrize("name", IMAGE_FAMILIES)
def test_an_image_swapped_would_show(name, seeing_folder):
    prompts = [prompt for prompt in mixed_pool(2) if len(prompt.images) == 1][::2]
    plain = Plain(seeing_folder(name), prompts)
    own, other = plain.encoded
    swapped = {
        **own,
        **{key: other[key] for key in other if key.startswith(("pixel", "image", "spatial"))},
    }
    prompt, ids = tuple(own["input_ids"][0].tolist()), torch.tensor([40, 50, 60])
    found = [plain.log_probabilities(prompt, ids, inputs) for inputs in (own, swapped)]
    assert (found[0] - found[1]).abs().max() > 10 * CLOSE["atol"]
