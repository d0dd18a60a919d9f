"""The double of vLLM: a server in this process, and trainings in processes of their own."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vasari.records import Prompt

HERE = Path(__file__).parent
STUB = HERE / "stub"
GRPO: dict[str, Any] = {
    "steps": 2,
    "prompts_per_batch": 3,
    "rollouts_per_prompt": 4,
    "updates_per_batch": 1,
    "micro_batch": 4,
    "save_every": 2,
    "validate_every": 2,
    "trl": {
        "learning_rate": 3e-3,
        "beta": 0.0,
        "temperature": 1.0,
        "max_completion_length": 12,
        "warmup_steps": 0,
    },
}


def _loaded(name: str, path: Path) -> ModuleType:
    """A module or package from a file, under a name that no library has: TRL would find `vllm`."""
    places = [str(path.parent)] if path.name == "__init__.py" else None
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=places)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def double() -> ModuleType:
    """The package of the double, as `vllm_double`."""
    return _loaded("vllm_double", STUB / "vllm" / "__init__.py")


@pytest.fixture(scope="session")
def serve(
    double: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Any]]:
    """Starts a server of a model's folder; its options are those of `VllmServer`."""
    server = _loaded("vllm_server", HERE / "vllm_server.py").VllmServer
    started = []

    def start(model: Path, **options: Any) -> Any:
        started.append(server(double, model, tmp_path_factory.mktemp("weights"), **options))
        return started[-1]

    yield start
    for one in started:
        one.stop()


def _run(
    settings: str,
    server: Any,
    *,
    processes: int = 1,
    spread: bool = False,
    script: str = "vllm_process.py",
) -> None:
    """Run the trainings in processes that find the double in the place of vLLM."""
    start = [sys.executable]
    if processes > 1:
        start += [
            "-m",
            "torch.distributed.run",
            "--standalone",
            f"--nproc_per_node={processes}",
        ]
    if spread:
        start += [str(HERE.parent / "train" / "spread_on_cpu.py")]
    paths = os.pathsep.join([str(STUB), os.environ.get("PYTHONPATH", "")])
    folder = str(server.folder if server is not None else HERE)
    done = subprocess.run(
        [*start, str(HERE / script), settings],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
        env=os.environ
        | {"PYTHONPATH": paths, "VASARI_TEST_WEIGHTS_FOLDER": folder, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.fixture(scope="session")
def run_script() -> Callable[..., list[dict[str, Any]]]:
    """Runs a script with settings in a process that finds the double in the place of vLLM."""

    def run(script: str, settings: list[dict[str, Any]], server: Any) -> list[dict[str, Any]]:
        _run(json.dumps(settings), server, script=script)
        return [json.loads(Path(one["told"]).read_text()) for one in settings]

    return run


@pytest.fixture(scope="session")
def train_with_vllm(
    taught_folder: Path, digit_prompts: list[Prompt], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., list[dict[str, Any]]]:
    """Runs trainings one after the other in one process, or in several, and returns what each
    told; `out` and `told` of each process come with it."""
    from vasari.data.prompt_file import write_prompts

    def train(
        *runs: dict[str, Any],
        server: Any = None,
        processes: int = 1,
        spread: bool = False,
        model: Path = taught_folder,
    ) -> list[dict[str, Any]]:
        settings = []
        for run in runs:
            out = tmp_path_factory.mktemp("run")
            prompts = run.get("prompts", digit_prompts)
            write_prompts(out / "pool.parquet", prompts)
            changes = run["grpo"]
            trl = GRPO["trl"] | ({} if server is None else {"vllm_server_base_url": server.url})
            trl |= changes.get("trl", {})
            settings.append(
                {name: value for name, value in run.items() if name not in ("prompts", "grpo")}
                | {
                    "model": str(model),
                    "prompts": str(out / "pool.parquet"),
                    "out": str(out / "run"),
                    "grpo": GRPO | changes | {"trl": trl},
                }
            )
            (out / "run").mkdir()
        _run(json.dumps(settings), server, processes=processes, spread=spread)
        found = []
        for run in settings:
            out = Path(run["out"])
            ranks = [json.loads((out / f"told-{n}.json").read_text()) for n in range(processes)]
            found.append(ranks[0] | {"out": out, "ranks": ranks})
        return found

    return train
