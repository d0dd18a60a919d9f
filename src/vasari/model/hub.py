"""Whether a model of the Hugging Face hub is on this machine or can be had, said within seconds."""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import threading
import urllib.parse
import urllib.request
from pathlib import Path

from huggingface_hub import constants, try_to_load_from_cache

from vasari.core.errors import StateError

_SECONDS = 5.0
"""How long the hub may take to accept a connection."""
_WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)


def require_reachable(path: str, file: str) -> None:
    """Raise unless a file of a hub name is on this machine, or the hub can be reached.

    transformers would try for minutes. Where the hub cannot be reached, it is told so for the rest
    of this process, as `HF_HUB_OFFLINE=1` does: it would else ask for each file that a model on
    this machine does not have. A folder is not looked at.

    Raises:
        StateError: Neither; says what to do.
    """
    if Path(path).is_dir():
        return
    if Path(path).exists():
        raise StateError(f"{path}: is a file; give the folder of a model, or its name on the hub")
    if not constants.HF_HUB_OFFLINE and not hub_is_reachable():
        constants.HF_HUB_OFFLINE = True
    if not constants.HF_HUB_OFFLINE or isinstance(try_to_load_from_cache(path, file), str):
        return
    host = urllib.parse.urlsplit(constants.ENDPOINT).hostname
    why = f"{host} cannot be reached" if not _is_told_to_stay_offline() else "HF_HUB_OFFLINE is set"
    raise StateError(
        f"{path}: is no folder here, {file} of that name is not in this machine's hub cache, and"
        f" {why}; give a local folder, or run `hf download {path}` where there is a network and set"
        " HF_HOME to that cache, with HF_HUB_OFFLINE=1"
    )


def require_weights(path: str) -> None:
    """Raise unless config and weights of a hub name are on this machine, or can be downloaded.

    Raises:
        StateError: They are not; says what to do.
    """
    require_reachable(path, "config.json")
    if Path(path).is_dir() or not constants.HF_HUB_OFFLINE:
        return
    if not any(isinstance(try_to_load_from_cache(path, name), str) for name in _WEIGHTS):
        require_reachable(path, _WEIGHTS[0])


def hub_is_reachable() -> bool:
    """Whether the hub accepts connections, as far as this machine can know; waits a few seconds.

    Behind a proxy only the proxy knows: True.
    """
    return bool(urllib.request.getproxies()) or _accepts_connections(constants.ENDPOINT)


@functools.cache
def _accepts_connections(address: str) -> bool:
    place = urllib.parse.urlsplit(address)
    port = place.port or (80 if place.scheme == "http" else 443)
    accepted = threading.Event()

    def connect() -> None:
        with (
            contextlib.suppress(OSError),
            socket.create_connection((place.hostname or "", port), timeout=_SECONDS),
        ):
            accepted.set()

    # Looking a name up has no time limit of its own.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(_SECONDS)
    return accepted.is_set()


def _is_told_to_stay_offline() -> bool:
    """Whether the user asked for no network, rather than that there is none."""
    return any(os.environ.get(name) for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))
