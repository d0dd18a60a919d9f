"""Calculations in float64, where two ways to the same number are apart by next to nothing.

In float32 a wrong image and a long sum in another order may both be 1e-4 apart. In float64 what is
rounding falls to 1e-12, and what is wrong stays.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import torch
from safetensors.torch import load_file, save_file

from checks.lab import Lab

EXACT = 1e-9
"""How far numbers in float64 may be apart: a thousand times what rounding was measured to do (2e-14
to 9e-13 in log-probabilities), a tenth of the least gap that float32 can show."""


@contextmanager
def in_double() -> Iterator[None]:
    """Calculate in float64 whatever asks torch for float32, in transformers' own code too.

    The modules that calculate must have been imported before, since what they note of `torch.float32`
    while they are imported would stay.
    """
    stock = torch.get_default_dtype()
    # torch keeps what it notes of its types at the first use, and would keep ours.
    torch.storage._dtype_to_storage_type_map()
    torch.set_default_dtype(torch.float64)
    try:
        with (
            mock.patch.object(torch, "float32", torch.float64),
            mock.patch.object(torch, "float", torch.float64),
            mock.patch.object(torch.Tensor, "float", torch.Tensor.double),
            mock.patch.object(torch.nn.Module, "float", torch.nn.Module.double),
        ):
            yield
    finally:
        torch.set_default_dtype(stock)


def doubled(lab: Lab) -> Lab:
    """A lab of the same model folder whose models are opened anew; to be used within `in_double`."""
    lab.plain.model  # noqa: B018  (imports all that opens such a model)
    another = Lab(lab.name, lab.fresh("double"))
    another.__dict__["folder"] = lab.folder
    return another


def doubled_folder(folder: Path, out: Path) -> Path:
    """Copy a model folder with its weights in float64, and return the copy.

    Within `in_double` safetensors cannot read files of float32.
    """
    shutil.copytree(folder, out)
    for file in out.glob("*.safetensors"):
        weights = {name: weight.double() for name, weight in load_file(file).items()}
        save_file(weights, file, metadata={"format": "pt"})
    return out
