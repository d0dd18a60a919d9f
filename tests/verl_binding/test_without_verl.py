"""Without verl, the package imports, and the binding says what it needs."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

HAS_VERL = importlib.util.find_spec("verl") is not None


def test_the_binding_was_tested():
    if not HAS_VERL:
        pytest.skip("verl is not installed, as it pins other versions: scripts/check-verl runs it")


@pytest.mark.skipif(HAS_VERL, reason="verl is installed")
def test_without_verl_its_binding_says_what_to_install():
    code = "import vasari, vasari.train.verl_prompts\nimport vasari.verl"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert "MissingExtraError: vasari.verl needs verl 0.9" in last
    assert "pip install 'vasari[verl]'" in last
