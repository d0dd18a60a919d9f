"""A benchmark of your own with its own scorer: read the height of bars, correct within a tenth.

    python examples/own_benchmark.py
makes six prompts, and runs: vasari evaluate recipe.yaml --out results --plugin own_benchmark
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw

from vasari.evaluate.protocols import StoredOutput
from vasari.evaluate.protocols.check import check_protocol

RECIPE = """
name: bars
policy: {name: constant, settings: {text: "About 52."}}  # or model: {path: ...}, endpoint: {...}
benchmarks:
  sets: {bars: {prompts: prompts.jsonl, categories: {colour: colour}}}
  protocols: ["own_benchmark:within_a_tenth", vasari]
"""


def within_a_tenth(response: str, answer: str) -> bool | None:
    """Whether the last number is within a tenth of the answer; None if the answer is no number."""
    try:
        wanted = float(answer)
    except ValueError:
        return None
    numbers = re.findall(r"-?\d{1,12}(?:\.\d{1,12})?", response[-2000:])
    return bool(numbers) and abs(float(numbers[-1]) - wanted) <= abs(wanted) / 10


def write_benchmark(folder: Path) -> None:
    """Write six prompts with one picture each, and a recipe."""
    rows = []
    for place, height in enumerate((20, 35, 50, 65, 80, 95)):
        colour = ("red", "blue")[place % 2]
        picture = Image.new("RGB", (112, 112), "white")
        ImageDraw.Draw(picture).rectangle((40, 105 - height, 72, 105), fill=colour)
        picture.save(folder / f"{place}.png")
        row = {"id": f"bar-{place}", "question": "How high is the bar, in pixels?"}
        row |= {"answer": str(height), "image": f"{place}.png", "metadata": {"colour": colour}}
        rows.append(json.dumps(row) + "\n")
    (folder / "prompts.jsonl").write_text("".join(rows))
    (folder / "recipe.yaml").write_text(RECIPE)


if __name__ == "__main__":
    right = StoredOutput(benchmark="bars", id="bar-2", response="About 52.", answer="50")
    check_protocol(within_a_tenth, right=right)
    with tempfile.TemporaryDirectory() as name:
        write_benchmark(Path(name))
        command = [sys.executable, "-m", "vasari", "evaluate", f"{name}/recipe.yaml"]
        command += ["--out", f"{name}/results", "--plugin", "own_benchmark"]
        subprocess.run(command, cwd=Path(__file__).parent, check=True)
