"""What stands in for GPUs in the tests of verl's binding: a worker group, servers, and rollouts.

verl's own are everything else: the trainer's `fit`, its data set and data loader, the transfer queue
and the replay buffer, agent loop workers and reward workers on Ray, advantages and checkpoints.
"""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import scenario
import torch
import transfer_queue as tq
from tensordict import TensorDict
from verl.experimental.agent_loop.agent_loop import AgentLoopBase, AgentLoopOutput

from vasari.records import Prompt

ROLLED_OUT = "rolled_out.jsonl"
"""A line for every group that was rolled out: step, place, rollouts."""


class WorkerGroup:
    """Actor and reference policy without a model: log-probabilities of zero, updates that only
    look at the advantages."""

    dies_in_update = 0
    """The update in which the process is killed; 0: none."""

    def __init__(self, **_: Any) -> None:
        self._dispatch_info: dict[str, list[int]] = {}
        self.updates: list[dict[str, list[float]]] = []
        self.fields: list[list[str]] = []
        """What each update had of every rollout."""

    def spawn(self, prefix_set: Any) -> dict[str, WorkerGroup]:
        return dict.fromkeys(prefix_set, self)

    def init_model(self) -> None:
        pass

    def _query_dispatch_info(self, role: str) -> list[int]:
        return [0]

    def compute_log_prob(self, batch: Any) -> Any:
        masks = list(_fields(batch, "prompts", "responses"))
        zeros = _nested([torch.zeros(len(p) + len(r)) for p, r in masks])
        fields = TensorDict({"log_probs": zeros, "entropy": zeros.clone()}, batch_size=len(batch))
        return tq.kv_batch_put(keys=batch.keys, partition_id=batch.partition_id, fields=fields)

    def update_actor(self, batch: Any) -> dict[str, Any]:
        if len(self.updates) + 1 == self.dies_in_update:
            os.kill(os.getpid(), signal.SIGKILL)
        advantages = {}
        for key, (own, mask) in zip(
            batch.keys, _fields(batch, "advantages", "response_mask"), strict=True
        ):
            advantages[key] = own[mask.bool()].tolist()
        self.updates.append(advantages)
        # As verl's workers read: all that there is.
        data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id)
        self.fields.append(sorted(data.keys()))
        return {"metrics": {"mfu": [0.0], "pg_loss": [0.0], "grad_norm": [1.0]}}

    def save_checkpoint(self, local_path: str, *_: Any, **__: Any) -> None:
        Path(local_path).mkdir(parents=True, exist_ok=True)

    def load_checkpoint(self, local_path: str, **_: Any) -> None:
        assert Path(local_path).is_dir()


def _fields(batch: Any, *names: str) -> Any:
    data = tq.kv_batch_get(
        keys=batch.keys, partition_id=batch.partition_id, select_fields=list(names)
    )
    return zip(*(list(data[name]) for name in names), strict=True)


def _nested(rows: list[torch.Tensor]) -> torch.Tensor:
    return torch.nested.as_nested_tensor(rows, layout=torch.jagged)


class ResourcePools:
    """One pool without GPUs."""

    def __init__(self, resource_pool_spec: Any, mapping: Any) -> None:
        self.resource_pool_dict: dict[str, str] = {}

    def create_resource_pool(self) -> None:
        self.resource_pool_dict = {"global_pool": "global_pool"}

    def get_resource_pool(self, role: Any) -> str:
        return "global_pool"

    def get_n_gpus(self) -> int:
        return 1


class Servers:
    """No inference servers."""

    @classmethod
    def create(cls, **_: Any) -> Servers:
        return cls()

    def get_client(self) -> Any:
        return SimpleNamespace()

    def get_replicas(self) -> list[Any]:
        return []


class WeightSync:
    """No weights to send."""

    is_awake = False
    """Whether servers could generate."""

    def __init__(self, **_: Any) -> None:
        WeightSync.is_awake = False

    def update_weights(self, global_steps: int) -> None:
        WeightSync.is_awake = True

    def sleep_replicas(self) -> None:
        WeightSync.is_awake = False


def replace_workers(module: Any) -> None:
    """Put these classes in the place of verl's, in the module of its trainer."""
    module.RayWorkerGroup = WorkerGroup
    module.ResourcePoolManager = ResourcePools
    module.LLMServerManager = Servers
    module.CheckpointEngineManager = WeightSync
    module.create_colocated_worker_cls = lambda class_dict: None


def keep_workers(module: Any) -> None:
    """Share verl's own agent loop and reward workers between the trainings of this process, since
    they take a minute to start; and let the replay buffer poll often, since rollouts take no time."""
    from verl.trainer.ppo.v1 import AgentLoopManagerTQ, replay_buffer

    kept: dict[str, Any] = {}

    def once(name: str, make: Any) -> Any:
        def made(*args: Any, **given: Any) -> Any:
            if name not in kept:
                kept[name] = make(*args, **given)
            return kept[name]

        return made

    submit = AgentLoopManagerTQ.generate_sequences

    def submitted(agents: Any, prompts: Any) -> None:
        assert WeightSync.is_awake, "prompts were submitted while the servers sleep"
        submit(agents, prompts)

    module.RewardLoopManager = once("rewards", module.RewardLoopManager)
    AgentLoopManagerTQ.create = once("agents", AgentLoopManagerTQ.create)
    AgentLoopManagerTQ.generate_sequences = submitted
    defaults = replay_buffer.ReplayBuffer.__init__.__defaults__
    replay_buffer.ReplayBuffer.__init__.__defaults__ = (0.05, *defaults[1:])


def keep_queue(queue: Any) -> Any:
    """Share verl's transfer queue as well, emptied after each training; return what closes it."""
    start, close, running = queue.init, queue.close, []

    def started(config: Any = None) -> Any:
        if not running:
            running.append(start(config))
        return running[0]

    def emptied() -> None:
        for partition, items in (queue.kv_list() or {}).items():
            if items:
                queue.kv_clear(keys=list(items), partition_id=partition)

    queue.init, queue.close = started, emptied
    return close


class ScriptedAgentLoop(AgentLoopBase):
    """Writes the scenario's rollouts. One worker holds the script, and so the counts of visits."""

    script: scenario.Script
    training = ""
    """Folder of the training that the script is of."""
    groups: dict[str, list[str]]
    seen_in_step: Counter[tuple[int, str]]

    async def run(self, sampling_params: dict[str, Any], **row: Any) -> AgentLoopOutput:
        texts = self._texts_of(row)
        prompt_ids = await self.ct_build_initial_tokens(list(row["raw_prompt"]))
        text = texts[row["session_id"]]
        if text == FAILS:
            raise RuntimeError("this rollout fails")
        ids = scenario.token_ids(text)
        return AgentLoopOutput(
            prompt_ids=prompt_ids,
            response_ids=ids,
            response_mask=[1] * len(ids),
            response_logprobs=log_probs(text) if sampling_params["logprobs"] else None,
            num_turns=2,
            metrics={},
            extra_fields={
                "min_global_steps": row["global_steps"] - 1,
                "max_global_steps": row["global_steps"] - 1,
            },
        )

    def _texts_of(self, row: dict[str, Any]) -> list[str]:
        """The rollouts of this row's group, written when the first of them is asked for."""
        cls = type(self)
        orders = json.loads(Path(os.environ["VASARI_TEST_ORDERS"]).read_text())
        if orders["folder"] != cls.training:
            visits = {int(place): times for place, times in orders["visits"].items()}
            cls.script, cls.training = scenario.Script(visits), orders["folder"]
            cls.groups, cls.seen_in_step = {}, Counter()
        if row["uid"] not in cls.groups:
            place = int(row["index"].removeprefix("sum-"))
            step = int(row["global_steps"])
            # The first time in a step that the pool is refreshed.
            every = orders["refresh_every"]
            is_refresh = bool(every) and (step - 1) % every == 0
            is_refresh = is_refresh and not cls.seen_in_step[step, row["index"]]
            cls.seen_in_step[step, row["index"]] += 1
            num = orders["num_refresh_rollouts" if is_refresh else "num_rollouts"]
            texts = cls.script.group(place, num)
            num_failing = orders["fails"].get(str(place), 0)
            cls.groups[row["uid"]] = [FAILS] * num_failing + texts[num_failing:]
            with Path(orders["folder"], ROLLED_OUT).open("a") as file:
                file.write(json.dumps({"step": step, "place": place, "rollouts": num}) + "\n")
        return cls.groups[row["uid"]]


FAILS = "fails"


def log_probs(text: str) -> list[float]:
    """Log-probabilities of a rollout's tokens: the longer, the less sure."""
    num = len(scenario.token_ids(text))
    return [-0.01 * num * (1 + place) for place in range(num)]


def rows(pool: list[Prompt]) -> list[dict[str, Any]]:
    """The pool as verl's rows, as our export writes them, without a system prompt."""
    from vasari.curate.out.export import verl_row

    found = [verl_row(prompt, "rl") for prompt in pool]
    for row, prompt in zip(found, pool, strict=True):
        row["prompt"] = [{"role": "user", "content": prompt.question}]
        row["data_source"] = "sums"
    return found
