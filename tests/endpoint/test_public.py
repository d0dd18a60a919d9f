"""The package as others see it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from vasari.endpoint import FAILURE_REASONS, TRANSIENT


def test_every_reason_to_try_again_is_a_reason_of_failure():
    assert set(FAILURE_REASONS) > TRANSIENT
    assert all(FAILURE_REASONS.values())


@pytest.mark.slow
@pytest.mark.parametrize("library", ["aiohttp", "orjson"])
def test_a_missing_library_is_named_with_what_to_install(library):
    code = f"import sys; sys.modules[{library!r}] = None; import vasari.endpoint"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert last.endswith(
        f"MissingExtraError: asking an endpoint needs {library}: pip install 'vasari[curate]'"
    )
