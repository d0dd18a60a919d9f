"""A Ray cluster of several nodes (on one machine) that is joined, loses a node, and is left as it
was."""

from __future__ import annotations

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytest.importorskip("ray")

import ray
from ray.cluster_utils import Cluster

import vasari
from vasari.cluster import joined_ray
from vasari.core.errors import ConfigError, StateError

pytestmark = pytest.mark.slow

STORE = 80 * 2**20


@pytest.fixture(scope="module")
def cluster():
    """A head of one core, to which nodes are added."""
    head = {"num_cpus": 1, "object_store_memory": STORE, "include_dashboard": False}
    for attempt in range(3):
        try:
            made = Cluster(initialize_head=True, head_node_args=dict(head))
            break
        except (
            Exception
        ) as error:  # Ray gives its own processes 30 seconds, which a busy machine may exceed
            if attempt == 2 or "timed out" not in str(error):
                raise
    yield made
    made.shutdown()


def waiting_work(folder: Path):
    """Work that notes which node begins a shard and which ends it."""

    def make():
        node = ray.get_runtime_context().get_node_id()

        def work(number):
            (folder / f"{number}-{node}.begun").touch()
            time.sleep(0.4)
            (folder / f"{number}-{node}.ended").touch()

        return work

    return make


@pytest.mark.heavy
def test_a_node_that_is_lost_is_worked_around(cluster, tmp_path):
    node = cluster.add_node(num_cpus=1, object_store_memory=STORE)
    with joined_ray(root=tmp_path, address=cluster.address) as engine:
        assert engine.workers == 2
        given = []
        for number in engine.run(waiting_work(tmp_path), range(12)):
            given.append(number)
            if node is not None and any(tmp_path.glob(f"*-{node.node_id}.begun")):
                cluster.remove_node(node, allow_graceful=False)
                lost, node = node.node_id, None

    assert node is None
    assert sorted(given) == list(range(12))
    begun = {path.name.split("-")[0] for path in tmp_path.glob(f"*-{lost}.begun")}
    ended = {path.name.split("-")[0] for path in tmp_path.glob(f"*-{lost}.ended")}
    again = begun - ended
    assert all(
        any(path for path in tmp_path.glob(f"{number}-*.ended") if lost not in path.name)
        for number in again
    )


def test_a_cluster_that_was_joined_goes_on_afterwards(cluster, tmp_path):
    with joined_ray(root=tmp_path, address=cluster.address, workers=1):
        pass

    assert not ray.is_initialized()
    host, port = cluster.address.split(":")
    socket.create_connection((host, int(port)), timeout=10).close()


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            'raise ImportError("not installed on this machine")',
            r"vasari does not run there \(.*not installed on this machine",
        ),
        (
            "__path__ = [{real!r}]\n__version__ = '0.0.1'",
            rf"vasari is 0\.0\.1 there and {vasari.__version__} here: install the same version",
        ),
    ],
    ids=["missing", "another version"],
)
def test_a_machine_without_the_same_vasari_is_named_before_the_work(
    cluster, tmp_path, content, said
):
    shadow = tmp_path / "shadow" / "vasari"
    shadow.mkdir(parents=True)
    (shadow / "__init__.py").write_text(
        content.replace("{real!r}", repr(str(Path(vasari.__file__).parent)))
    )
    node = cluster.add_node(
        num_cpus=1, object_store_memory=STORE, env_vars={"PYTHONPATH": str(shadow.parent)}
    )
    try:
        with (
            pytest.raises(StateError, match=r"^machine \S+ \(\S+\): " + said),
            joined_ray(root=tmp_path / "run", address=cluster.address),
        ):
            pass
    finally:
        cluster.remove_node(node, allow_graceful=False)


def test_an_address_where_nobody_answers_is_refused_at_once(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"

        with (
            pytest.raises(ConfigError, match=rf"--ray-address {address}: nobody answers there"),
            joined_ray(root=tmp_path, address=address),
        ):
            pass


@pytest.mark.heavy
def test_a_server_that_is_no_ray_is_refused(tmp_path):
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{server.server_port}"

        with (
            pytest.raises(
                ConfigError,
                match=rf"--ray-address {address}: the cluster cannot be joined from this machine",
            ),
            joined_ray(root=tmp_path, address=address),
        ):
            pass
        server.shutdown()
