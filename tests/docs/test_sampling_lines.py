"""A sampler is twenty lines of somebody else's trainer: the examples of docs/sampling.md keep that
promise."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "sampling.md"


@pytest.mark.parametrize("mark", ["for batch in range", "VarianceAwareGRPOTrainer("])
def test_an_example_is_at_most_twenty_lines_beside_its_imports(mark):
    (code,) = [
        code
        for code in re.findall(
            r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL
        )
        if mark in code
    ]
    lines = [
        line for line in code.splitlines() if line.strip() and not re.match(r"(import|from) ", line)
    ]
    assert len(lines) <= 20
