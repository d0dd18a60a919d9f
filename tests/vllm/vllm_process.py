"""GRPO trainings with the double of vLLM: `python vllm_process.py JSON`, also under torchrun.

The double stands first on PYTHONPATH, so that TRL takes it for vLLM. TRL's client refuses to open a
channel for weights without a CUDA device; that check alone is satisfied here.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

SYSTEM = "Think, then answer."


def satisfy_the_check_for_cuda() -> None:
    import torch
    from trl.generation.vllm_client import VLLMClient

    opened = VLLMClient.init_communicator
    # Without an index, the client chooses no device.
    VLLMClient.init_communicator = lambda self, device=0: opened(self, torch.device("cuda"))


def main(runs: list[dict[str, Any]]) -> None:
    satisfy_the_check_for_cuda()
    from vasari.train.processes import start_processes

    with start_processes():
        for settings in runs:
            if not settings.get("only_draws"):
                forbid_transformers()
            one_run(settings)


def one_run(settings: dict[str, Any]) -> None:
    """Train as the settings say, and write what happened into `told.json` of the run's folder."""
    import torch

    from vasari.data.prompt_file import read_prompts
    from vasari.sample import make_sampler
    from vasari.train.run_grpo import GrpoTraining
    from vasari.train.settings import GrpoSettings
    from vllm import LLM

    LLM.made.clear()
    prompts = read_prompts(settings["prompts"])
    sampler = settings.get("sampler", "uniform")
    options = {"refresh_every": 1, "num_refresh_rollouts": 2} if sampler == "vas" else {}
    training = GrpoTraining(
        model_path=settings["model"],
        prompts=prompts,
        sampler=make_sampler(
            sampler,
            num_prompts=len(prompts),
            seed=0,
            prompt_ids=[prompt.id for prompt in prompts],
            **options,
        ),
        settings=GrpoSettings.model_validate(settings["grpo"]),
        system=SYSTEM,
        out=Path(settings["out"]),
        seed=settings.get("seed", 0),
        max_pixels=settings.get("max_pixels"),
    )
    validation = prompts[: settings.get("num_validation", 0)]
    told: dict[str, Any] = {"error": None}
    try:
        if settings.get("only_draws"):
            told["texts"] = greedy_by_both(training)
        else:
            told["facts"] = training.train(validation)
        if "resume" in settings:
            more = GrpoSettings.model_validate(settings["grpo"] | settings["resume"])
            resumed = dataclasses.replace(training, settings=more)
            told["facts"] = resumed.train(validation, resume=True)
    except Exception as error:  # noqa: BLE001  (told to the test)
        told["error"] = f"{type(error).__name__}: {error}"
    rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
    if LLM.made:
        told |= told_by(LLM.made[-1], Path(settings["out"]) / f"vllm-{rank}.safetensors")
    (Path(settings["out"]) / f"told-{rank}.json").write_text(json.dumps(told, default=str))


def told_by(llm: Any, weights: Path) -> dict[str, Any]:
    """What the double was made with and asked for; its weights go into a file."""
    from safetensors.torch import save_file

    save_file({name: value.contiguous() for name, value in llm.weights().items()}, weights)
    calls = [
        {
            "tokens": call["tokens"],
            "images": [image.size for image in _listed(call["images"])],
            "params": {k: v for k, v in vars(call["params"]).items() if k != "logit_bias"},
            "logit_bias": sorted((call["params"].logit_bias or {}).items()),
        }
        for call in llm.calls
    ]
    return {"options": llm.options, "log": llm.log, "drawn": llm.drawn, "calls": calls}


def greedy_by_both(training: Any) -> list[dict[str, Any]]:
    """Greedy rollouts by vLLM and by transformers: at first, with other weights, at another step.

    vLLM is pushed weights where the trainer has made a step.
    """
    import torch

    from vasari.model.base import Decoding
    from vasari.model.transformers_policy import TransformersPolicy
    from vasari.train.trl_vllm import rollout_policy

    decoding = Decoding(num_rollouts=2, temperature=0.0, max_tokens=10)
    trainer = training.make_trainer()
    found = []
    for moment in ("start", "changed", "stepped"):
        if moment == "changed":
            generator = torch.Generator().manual_seed(0)
            with torch.no_grad():
                for value in trainer.model.parameters():
                    noise = torch.randn(value.shape, generator=generator)
                    value.add_(0.3 * value.std().nan_to_num() * noise)
        if moment == "stepped":
            trainer.state.global_step += 1
        trainer.model.eval()
        plain = TransformersPolicy(trainer.model, trainer.processing_class, system=SYSTEM)
        with rollout_policy(trainer, system=SYSTEM) as policy:
            drawn = [own.generate(training.prompts, decoding, seed=0) for own in (policy, plain)]
        vllm, transformers = (
            [[rollout.token_ids.tolist() for rollout in group] for group in groups]
            for groups in drawn
        )
        found.append({"vllm": vllm, "transformers": transformers})
    return found


def forbid_transformers() -> None:
    """Let nothing be generated by transformers, nor the weights be gathered for it."""
    import vasari.model.transformers_tokens
    import vasari.train.trl_vllm

    def forbidden(*_: Any, **__: Any) -> Any:
        raise AssertionError("transformers was to generate")

    vasari.model.transformers_tokens.generate_shared = forbidden
    vasari.train.trl_vllm.whole_model = forbidden


def _listed(images: Any) -> list[Any]:
    return [] if images is None else images if isinstance(images, list) else [images]


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
