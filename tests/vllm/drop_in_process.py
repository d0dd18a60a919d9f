"""Trainings by TRL's trainer and by ours with the double of vLLM: `python drop_in_process.py JSON`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def main(runs: list[dict[str, Any]]) -> None:
    sys.path.insert(0, str(HERE.parent / "drop_in"))  # before the conftest of this folder
    from vllm_process import satisfy_the_check_for_cuda

    satisfy_the_check_for_cuda()
    for settings in runs:
        told = one_run(settings)
        Path(settings["told"]).write_text(json.dumps(told))


def one_run(settings: dict[str, Any]) -> dict[str, Any]:
    from datasets import Dataset
    from trl import GRPOTrainer

    import conftest as small
    from vasari.data.prompt_file import read_prompts
    from vasari.model.processor import load_processor
    from vasari.trl import VarianceAwareGRPOTrainer

    ours = settings["trainer"] == "ours"
    prompts = read_prompts(Path(settings["prompts"]))
    rows = small.image_rows(prompts) if settings["images"] else small.text_rows()
    # TRL leaves it to the user that no token of an image is drawn.
    processor = load_processor(settings["model"])
    marks = {processor.image_token_id: -100.0}
    pool = rows if ours else small.drawn_order(rows, batch=3)
    trainer = (VarianceAwareGRPOTrainer if ours else GRPOTrainer)(
        settings["model"],
        [small.even_sum, small.first_token],
        small.config(
            Path(settings["told"]).parent / "run",
            max_steps=2,
            generation_kwargs={"logit_bias": marks},
            **settings["config"],
        ),
        Dataset.from_list(pool),
        processing_class=processor,
        **({"sampler": "uniform"} if ours else {}),
    )
    try:
        trainer.train()
    except Exception as error:  # noqa: BLE001  (told to the test)
        return {"error": f"{type(error).__name__}: {error}"}
    weights = {name: float(own.double().sum()) for name, own in small.weights_of(trainer).items()}
    return {"error": None, "logged": small.logged(trainer), "weights": weights}


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
