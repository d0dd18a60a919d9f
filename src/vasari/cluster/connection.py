"""Joining a Ray cluster for the length of a run, or starting one on this machine.

A cluster that was there is left running; one that was started is stopped.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vasari.cluster.engine import RayEngine
from vasari.cluster.ray_library import ray
from vasari.cluster.shared_folders import SharedFolders, share_folders
from vasari.cluster.worker import find_trouble
from vasari.core.errors import ConfigError, StateError

LOCAL = "local"
"""Address that stands for a Ray started on this machine."""

_OBJECT_STORE_BYTES = 80 * 2**20
"""Shards travel as files, so next to nothing is put there; Ray takes no less than 75 MiB."""

_START_ATTEMPTS = 3
_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 120.0
"""How long a machine may take to start a process that looks at the folders."""

_PATIENCE_VARIABLE, _NUM_ATTEMPTS = "RAY_gcs_server_port_wait_time_s", "1"
"""How often Ray tries to join, half a minute each; its twenty times take long where something
listens that is no Ray."""


@contextlib.contextmanager
def joined_ray(
    *,
    root: Path,
    address: str = LOCAL,
    workers: int | None = None,
    data: Sequence[Path] = (),
    secrets: Sequence[str] = (),
) -> Iterator[RayEngine]:
    """Context manager that joins or starts a Ray cluster and yields an engine that uses it.

    A Ray that this process has already joined is used as it is. The dashboard and usage statistics
    are off in a Ray that is started here, and nothing of the environment is sent to another
    machine.

    Args:
        root: Folder of the run, which all machines must share.
        address: "local" starts Ray on this machine; "auto" or HOST:PORT joins a cluster that this
            machine belongs to.
        workers: Actors of one core each; as many as there are cores by default.
        data: Folders that workers read; each machine must have them at the same path.
        secrets: Environment variables that processes started here do not get.

    Raises:
        ConfigError: The address is none, or no cluster answers there.
        StateError: Ray does not start, has no core, or a machine does not see the folders.
        StorageError: The run's folder cannot be written to.
    """
    with share_folders(root, data) as folders:
        before = ray.is_initialized()
        if not before and address == LOCAL:
            _start(workers, secrets)
        elif not before:
            _join(address)
        try:
            cores = _cores(address)
            if before or address != LOCAL:
                _look_everywhere(folders)
            yield RayEngine(workers=workers or cores, folders=folders)
        finally:
            if not before:
                ray.shutdown()  # stops what was started here; leaves a cluster that was there


def _start(workers: int | None, secrets: Sequence[str]) -> None:
    """Start Ray on this machine, up to three times.

    Ray gives its own processes 30 seconds, which a busy machine may exceed once.
    """
    for attempt in range(1, _START_ATTEMPTS + 1):
        try:
            with _environment(dict.fromkeys(secrets)):
                ray.init(
                    address="local",
                    num_cpus=workers,
                    include_dashboard=False,
                    object_store_memory=_OBJECT_STORE_BYTES,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
            return
        except (
            Exception
        ) as error:  # a bare Exception is what Ray raises when its processes are late
            ray.shutdown()
            if attempt == _START_ATTEMPTS:
                raise StateError(
                    f"Ray did not start on this machine, which may be too busy: {_one_line(error)}"
                ) from error


def _join(address: str) -> None:
    if address != "auto":
        _check_address(address)
    try:
        with _environment({_PATIENCE_VARIABLE: os.environ.get(_PATIENCE_VARIABLE, _NUM_ATTEMPTS)}):
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:
        ray.shutdown()
        raise ConfigError(
            f"--ray-address {address}: the cluster cannot be joined from this machine"
            f" ({_one_line(error)}); `ray status` says whether it is up"
        ) from error


def _check_address(address: str) -> None:
    """Refuse what is no address, and one where nobody listens.

    Ray itself would try for a minute.
    """
    if "://" in address:
        raise ConfigError(
            f"--ray-address {address}: Ray's client protocol is not supported; run the command on a"
            " machine of the cluster, with auto or HOST:PORT"
        )
    found = re.fullmatch(r"(?:\[([0-9a-fA-F:]+)\]|([^\s:/]+)):(\d{1,5})", address)
    if found is None or not 0 < int(found[3]) < 65536:
        raise ConfigError(f"--ray-address must be local, auto or HOST:PORT, got {address!r}")
    host = found[1] or found[2]
    try:
        socket.create_connection((host, int(found[3])), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        raise ConfigError(
            f"--ray-address {address}: nobody answers there ({error.strerror or error})"
        ) from error


def _cores(address: str) -> int:
    """Number of cores of the cluster.

    Raises:
        StateError: It has none.
    """
    cores = int(ray.cluster_resources().get("CPU", 0))
    if cores < 1:
        raise StateError(
            f"--ray-address {address}: the cluster has no core for workers; was it started with"
            " --num-cpus 0?"
        )
    return cores


def _look_everywhere(folders: SharedFolders) -> None:
    """Check, before hours of work, that every machine with a core sees the folders.

    Raises:
        StateError: One of them does not see them; names each.
    """
    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
    look = ray.remote(find_trouble)
    strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    places = [strategy(node_id=node["NodeID"], soft=False) for node in nodes]
    asked = [
        look.options(num_cpus=0, max_retries=1, scheduling_strategy=place).remote(folders)
        for place in places
    ]
    ray.wait(asked, num_returns=len(asked), timeout=_ANSWER_SECONDS)
    found = [(node, _trouble(answer)) for node, answer in zip(nodes, asked, strict=True)]
    wrong = [
        f"machine {_machine(node)}: {trouble}" for node, trouble in found if trouble is not None
    ]
    if wrong:
        raise StateError(
            "; ".join(wrong[:4])
            + (f"; and {len(wrong) - 4} more machines" if len(wrong) > 4 else "")
        )


def _trouble(answer: Any) -> str | None:
    try:
        failure = ray.get(answer, timeout=0)
    except ray.exceptions.GetTimeoutError:
        return f"no process started within {_ANSWER_SECONDS:.0f} seconds"
    except (ray.exceptions.TaskUnschedulableError, ray.exceptions.NodeDiedError):
        return None  # the machine is gone: no actor will work there
    except ray.exceptions.RayTaskError as error:
        return (
            f"vasari does not run there ({_last_line(error)}): install the same version on every"
            " machine"
        )
    except ray.exceptions.RayError as error:
        return f"no process runs there ({_last_line(error)})"
    return None if failure is None else str(failure)


def _machine(node: Mapping[str, Any]) -> str:
    return f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__


@contextlib.contextmanager
def _environment(changes: Mapping[str, str | None]) -> Iterator[None]:
    """Set variables while processes are started; hide those that are None."""
    before = {name: os.environ.get(name) for name in changes}
    _set(changes)
    try:
        yield
    finally:
        _set(before)


def _set(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
