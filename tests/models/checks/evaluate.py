"""Column "evaluate": greedy rollouts of a saved model are those of plain `generate`."""

from __future__ import annotations

import torch

from checks.grpo import MAX_TOKENS, recorded_sampling, suppressed_tokens
from checks.lab import Lab
from checks.sft import run_sft
from vasari.model.base import Decoding
from vasari.model.transformers_policy import TransformersPolicy

GREEDY = Decoding(num_rollouts=1, temperature=0, max_tokens=MAX_TOKENS)


def check(lab: Lab) -> None:
    out = lab.fresh("to-evaluate")
    run_sft(lab, out)
    policy = TransformersPolicy.load(str(out / "model"), system=lab.plain.system, dtype="float32")
    prompts = lab.pool[:8]
    with recorded_sampling() as sampling:
        groups = policy.generate(prompts, GREEDY, seed=0)
    suppressed = suppressed_tokens(lab, sampling)
    plain = type(lab.plain)(out / "model", system=lab.plain.system)
    for prompt, (rollout,) in zip(prompts, groups, strict=True):
        inputs = lab.plain.encode([prompt])
        with torch.no_grad():
            found = plain.model.generate(
                **inputs,
                do_sample=False,
                max_new_tokens=MAX_TOKENS,
                suppress_tokens=suppressed or None,
                repetition_penalty=1.0,
                temperature=None,
                top_p=None,
                top_k=None,
            )
        expected = found[0, inputs["input_ids"].shape[1] :].tolist()
        ours = rollout.token_ids.tolist()
        decode = lab.plain.tokenizer.decode
        assert ours == expected, f"{prompt.id}: {decode(ours)!r} and not {decode(expected)!r}"
        # Thoughts that the prompt has opened belong to what the model says.
        opened = "<think>" if decode(inputs["input_ids"][0]).rstrip().endswith("<think>") else ""
        text = opened + decode(expected, skip_special_tokens=True)
        assert rollout.text == text, f"{prompt.id}: {rollout.text!r} and not {text!r}"
