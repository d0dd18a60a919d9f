"""A slime training without engines and weights: its own rollout loop, with scripted answers.

Of slime itself where it can be imported, e.g. from a checkout that `VASARI_SLIME_SOURCE` names; of
the stand-in beside this file otherwise.
"""

from __future__ import annotations

import asyncio
import http.server
import importlib
import importlib.util
import json
import os
import sys
import threading
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import scenario

STAND_IN = Path(__file__).parent / "slime_stand_in"
SOURCE = os.environ.get("VASARI_SLIME_SOURCE")
"""Folder of a checkout of slime."""

SCRIPT = scenario.Script()
RECORDED: list[list[tuple[int, float]]] = []
"""Of each rollout its finished groups: prompt, and mean reward."""
SLOW: set[int] = set()
"""Prompts whose first rollouts are given up half-way, when the batch is full without them."""
DELAYS: dict[int, float] = {}
"""Seconds that rollouts of a prompt take."""
_PENDING: dict[tuple[int, str], list[str]] = {}


@contextmanager
def importable(folder: str | Path) -> Iterator[None]:
    """slime can be imported from this folder, and is forgotten afterwards."""
    _forget()
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        _forget()


def _forget() -> None:
    for name in [name for name in sys.modules if name == "slime" or name.startswith("slime.")]:
        del sys.modules[name]


def begin(visits: Mapping[int, int] | None = None) -> None:
    """Begin the script anew, or where another training was."""
    SCRIPT.visits.clear()
    SCRIPT.visits.update(visits or {})
    for state in (RECORDED, _PENDING, SLOW, DELAYS):
        state.clear()


async def generate(args: Any, sample: Any, sampling_params: dict[str, Any]) -> Any:
    """Answer as the script says (`--custom-generate-function-path`)."""
    place, role = sample.metadata["vasari_prompt_index"], sample.metadata["vasari_role"]
    await asyncio.sleep(DELAYS.get(place, 0.0))
    if place in SLOW and not sample.response:
        await asyncio.sleep(0.3)
        sample.response, sample.tokens, sample.response_length = "so then", [8, 20, 21], 2
        sample.status = type(sample).Status.ABORTED
        return sample
    size = 8 if role == "refresh" else args.n_samples_per_prompt
    texts = _PENDING.setdefault((place, role), [])
    if not texts:
        texts += SCRIPT.group(place, size)
    sample.response = texts.pop(0)
    answer = scenario.token_ids(sample.response)
    sample.tokens = [*scenario.token_ids(scenario.prompts()[place].question), *answer]
    sample.response_length = len(answer)
    sample.rollout_log_probs = [-0.5] * len(answer)
    sample.status = type(sample).Status.COMPLETED
    return sample


def record(args: Any, samples: list[list[Any]], data_source: Any) -> None:
    """Note what was rolled out (`--rollout-all-samples-process-path`)."""
    RECORDED.append(
        [
            (group[0].metadata["vasari_prompt_index"], sum(s.reward for s in group) / len(group))
            for group in samples
        ]
    )


async def graded(args: Any, sample: Any, **_: Any) -> float:
    """Rewards of somebody else, none of which reaches a half (`--custom-rm-path`)."""
    return 0.01 * len(sample.response)


def drops_unanimous(args: Any, samples: list[Any], **_: Any) -> bool:
    """Keep groups whose rewards differ (`--dynamic-sampling-filter-path`)."""
    return len({sample.reward for sample in samples}) > 1


def arguments(folder: Path, name: str = "uniform", **changes: Any) -> Namespace:
    """slime's arguments for a training in this folder, with the sampler of this name."""
    model, pool = folder / "model", folder / "pool.jsonl"
    if not pool.exists():
        if SOURCE is not None:
            scenario.tokenizer().save_pretrained(model)
        pool.write_text("".join(f"{json.dumps(_row(prompt))}\n" for prompt in scenario.prompts()))
    known: dict[str, Any] = {
        "prompt_data": str(pool),
        "input_key": "question",
        "label_key": "answer",
        "metadata_key": "metadata",
        "tool_key": None,
        "multimodal_keys": None,
        "apply_chat_template": False,
        "apply_chat_template_kwargs": {},
        "hf_checkpoint": str(model),
        "dump_details": None,
        "rollout_global_dataset": True,
        "rollout_shuffle": True,
        "rollout_seed": scenario.SEED,
        "rollout_max_prompt_len": None,
        "rollout_max_response_len": 32,
        "rollout_batch_size": scenario.PROMPTS_A_BATCH,
        "over_sampling_batch_size": scenario.PROMPTS_A_BATCH,
        "n_samples_per_prompt": scenario.ROLLOUTS_A_PROMPT,
        "save": str(folder / "run"),
        "load": str(folder / "run"),
        "data_source_path": "vasari.slime.VarianceAwareDataSource",
        "rollout_function_path": "vasari.slime.generate_rollout",
        "custom_rm_path": "vasari.slime.reward",
        "custom_reward_post_process_path": "vasari.slime.center_rewards",
        "custom_generate_function_path": "slime_training.generate",
        "rollout_all_samples_process_path": "slime_training.record",
        "rollout_sample_filter_path": None,
        "dynamic_sampling_filter_path": None,
        "buffer_filter_path": None,
        "partial_rollout": False,
        "mask_offpolicy_in_partial_rollout": False,
        "group_rm": False,
        "reward_key": None,
        "advantage_estimator": "grpo",
        "rewards_normalization": True,
        "grpo_std_normalization": True,
        "sglang_server_concurrency": 64,
        "sglang_dp_size": None,
        "sglang_router_ip": "127.0.0.1",
        "sglang_router_port": 0,
        "rollout_num_engines": 1,
        "use_distributed_post": False,
        "rollout_temperature": 1.0,
        "rollout_top_p": 1.0,
        "rollout_top_k": -1,
        "rollout_stop": None,
        "rollout_stop_token_ids": None,
        "rollout_skip_special_tokens": False,
        "vasari": {"sampler": {"name": name, "settings": dict(scenario.SAMPLERS.get(name, {}))}},
    }
    return Namespace(**(known | changes))


def _row(prompt: Any) -> dict[str, Any]:
    metadata = {"id": prompt.id, "kind": prompt.kind, "category": prompt.category}
    return {"question": prompt.question, "answer": prompt.answer, "metadata": metadata}


class Manager:
    """What slime's `RolloutManager` does with a data source and a rollout function."""

    def __init__(self, args: Namespace, *, start: int = 0) -> None:
        self.args = args
        self.source = _named(args.data_source_path)(args)
        self.source.load(start - 1)

    def generate(self, rollout_id: int) -> Any:
        """Roll out a batch."""
        called = importlib.import_module("slime.rollout.base_types").call_rollout_fn
        function = _named(self.args.rollout_function_path)
        return called(function, self.args, rollout_id, self.source, evaluation=False)

    def save(self, rollout_id: int) -> None:
        """Save after a batch."""
        self.source.save(rollout_id)


def _named(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


class _Router(http.server.BaseHTTPRequestHandler):
    """A router without workers: there is nothing to stop when a batch is full."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"workers": []}')

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def router() -> Iterator[int]:
    """The port of a router on this machine."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Router)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def connect(args: Namespace) -> None:
    """Let slime itself ask its router; the stand-in asks nobody."""
    if importlib.util.find_spec("slime.utils.http_utils") is not None:
        importlib.import_module("slime.utils.http_utils").init_http_client(args)
