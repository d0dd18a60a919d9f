"""Trainings in verl, each in a process of its own, on one small Ray cluster."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import scenario
from trainings import ENDLESS, FILTERED, Order, Run, basic_overrides, of_scenario

HERE = Path(__file__).parent
collect_ignore = []

if importlib.util.find_spec("verl") is None:
    # Their imports need verl; test_without_verl.py says that they were left out.
    collect_ignore = ["test_hydra.py", "test_data.py", "test_training.py", "test_resume.py"]

# Ray's workers step back behind everything else (niceness 15); on a busy machine they would hardly
# start.
os.environ.setdefault("RAY_worker_niceness", "0")


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """Address of a small Ray cluster that lives as long as the tests."""
    import ray

    source = HERE.parents[1] / "src"
    paths = [str(source), str(HERE.parent / "bindings"), str(HERE)]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    os.environ["OMP_NUM_THREADS"] = "1"
    context = _started(ray, attempts=5)
    yield context.address_info["address"]
    ray.shutdown()


def _started(ray: Any, *, attempts: int) -> Any:
    """Start Ray; it gives its own processes half a minute, which a busy machine may not have."""
    try:
        return ray.init(
            address="local",
            # Logical ones: verl's and the transfer queue's actors ask for eight or so.
            num_cpus=16,
            num_gpus=0,
            object_store_memory=100_000_000,
            include_dashboard=False,
            logging_level="warning",
        )
    except Exception as error:
        if attempts == 1 or "timed out during startup" not in str(error):
            raise
    ray.shutdown()
    return _started(ray, attempts=attempts - 1)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the scenario's model configuration and tokenizer; no weights."""
    folder = tmp_path_factory.mktemp("model")
    scenario.model_config().save_pretrained(str(folder))
    scenario.tokenizer().save_pretrained(str(folder))
    return folder


def write_data(folder: Path, source: str) -> Path:
    """The scenario's pool in verl's format, as our export writes it."""
    from vasari.curate.out.export import write_exports

    pool = [replace(prompt, metadata={"source": source}) for prompt in scenario.prompts()]
    write_exports(folder, ("verl",), {"rl": pool})
    return folder / "verl" / "rl.parquet"


@pytest.fixture(scope="session")
def data_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scenario's pool."""
    return write_data(tmp_path_factory.mktemp("data"), "sums")


@pytest.fixture(scope="session")
def unsure_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, with rollouts that nobody can judge."""
    return write_data(tmp_path_factory.mktemp("unsure"), "unsure")


@pytest.fixture(scope="session")
def number_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, for which the reward function returns a number alone."""
    return write_data(tmp_path_factory.mktemp("number"), "number")


@pytest.fixture(scope="session")
def train(
    cluster: str, model_folder: Path, data_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Mapping[str, Order]], dict[str, Run]]:
    """Trains one after the other in one process: `train({"name": Order([...]), ...})`. The first one's
    settings of rollout and reward workers are those of all."""
    loops = tmp_path_factory.mktemp("loops") / "loops.yaml"
    loops.write_text("- name: scripted\n  _target_: stand_ins.ScriptedAgentLoop\n")

    def run(wanted: Mapping[str, Order]) -> dict[str, Run]:
        at = tmp_path_factory.mktemp("orders") / "orders.json"
        orders = []
        for name, order in wanted.items():
            folder = order.folder or tmp_path_factory.mktemp(name)
            basic = basic_overrides(model_folder, data_file, loops, folder)
            orders.append(
                {**asdict(order), "num_rollouts": scenario.ROLLOUTS_A_PROMPT, "folder": str(folder)}
                | {"overrides": [*basic, *order.overrides]}
            )
        at.write_text(json.dumps(orders))
        done = subprocess.run(
            [sys.executable, str(HERE / "train.py"), str(at)],
            env=os.environ | {"RAY_ADDRESS": cluster, "VERL_USE_EXTERNAL_MODULES": "vasari.verl"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return {
            name: Run(Path(one["folder"]), done.stdout)
            for name, one in zip(wanted, orders, strict=True)
        }

    return run


@pytest.fixture(scope="session")
def runs(train: Any, unsure_file: Path, number_file: Path) -> dict[str, Run]:
    """The trainings that end by themselves, in one process."""
    return train(
        {
            **{name: of_scenario(name) for name in scenario.SAMPLERS},
            "filtered": of_scenario("weighted_passes", FILTERED, ENDLESS, "trainer.save_freq=3"),
            "filtered_once": of_scenario("uniform", FILTERED, "+vasari.max_generations=1"),
            "filtered_early": of_scenario("uniform", FILTERED, "+vasari.refill=early"),
            "unsure": of_scenario("uniform", f"data.train_files={unsure_file}"),
            "corrected": of_scenario(
                "uniform",
                f"data.train_files={unsure_file}",
                "algorithm.rollout_correction.rollout_is=token",
            ),
            "number": of_scenario("uniform", f"data.train_files={number_file}"),
            "good": of_scenario("uniform", "+vasari.verdict_from=good"),
            "confident": Order(["+vasari.sampler.name=weighted_passes", "trainer.test_freq=5"]),
            "failing": of_scenario(
                "uniform",
                "trainer.v1.sampler.sync_refill_failed_groups=True",
                fails={2: 1, 5: 4},
            ),
            "saved": of_scenario("vas", "trainer.save_freq=3"),
        }
    )
