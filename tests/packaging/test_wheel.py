"""The wheel stands alone: with NumPy only it chooses prompts, and with its training extra it runs
the quickstart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEEDED = (
    "vasari/py.typed",
    "vasari/assets/tiny_base/model.safetensors",
    "vasari/assets/tiny_base/config.json",
    "vasari/assets/tiny_base/tokenizer.json",
    "vasari/assets/recipes/quickstart.yaml",
    "vasari/assets/recipes/quickstart_tiny.yaml",
)
METHOD = """
import numpy as np
from vasari.records import GroupOutcome
from vasari.sample import make_sampler
from vasari.score import outcome_variance, promotion_score, trajectory_diversity

sampler = make_sampler("vas", num_prompts=50, seed=0, refresh="online")
draw = sampler.draw(8)
verdicts = np.array([1.0, 0.0, 1.0, 0.0])
tokens = [[1, 2, 3, n] for n in range(4)]
sampler.observe([GroupOutcome(index=int(i), rewards=verdicts, verdicts=verdicts, token_ids=tokens) for i in draw.indices])
score = float(promotion_score(outcome_variance(verdicts), trajectory_diversity(tokens)))
assert 0.2 < score < 0.4, score
assert abs(sampler.scores()[draw.indices[0]] - score) < 1e-12
print("drew", len(draw))
"""

pytestmark = pytest.mark.slow


def run(
    *command: object, cwd: Path, timeout: int = 900, check: bool = True, **variables: str
) -> subprocess.CompletedProcess[str]:
    """The finished command; on failure its last words are the test's message."""
    outside = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    environment = {key: value for key, value in os.environ.items() if key not in outside} | {
        "OMP_NUM_THREADS": "1",
        **variables,
    }
    words = [str(word) for word in command]
    done = subprocess.run(
        words,
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0 or not check, (
        f"{' '.join(words)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    )
    return done


def new_venv(folder: Path) -> Path:
    """The `bin` of a virtual environment with pip and nothing else."""
    venv.create(folder, with_pip=True, symlinks=True)
    return folder / "bin"


def install(bin_folder: Path, *what: object) -> None:
    run(
        bin_folder / "python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "-c",
        ROOT / "constraints.txt",
        *what,
        cwd=bin_folder,
    )


def packages(bin_folder: Path) -> set[str]:
    listed = json.loads(
        run(bin_folder / "python", "-m", "pip", "list", "--format", "json", cwd=bin_folder).stdout
    )
    return {package["name"] for package in listed} - {"pip", "setuptools", "wheel"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", out, ROOT, cwd=out)
    (built,) = out.glob("vasari-*.whl")
    return built


@pytest.fixture(scope="module")
def core(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and what it needs."""
    bin_folder = new_venv(tmp_path_factory.mktemp("core") / "venv")
    install(bin_folder, wheel)
    return bin_folder


def test_the_wheel_holds_what_runs_need_and_no_tests(wheel):
    with zipfile.ZipFile(wheel) as content:
        held = set(content.namelist())
    templates = {
        f"vasari/{path.relative_to(ROOT / 'src/vasari')}"
        for path in (ROOT / "src/vasari").rglob("*.j2")
    }
    styles = {
        f"vasari/{path.relative_to(ROOT / 'src/vasari')}"
        for path in (ROOT / "src/vasari").rglob("*.css")
    }
    assert {*NEEDED, *templates, *styles} - held == set()
    assert {name.split("/")[0] for name in held if not name.startswith("vasari-")} == {"vasari"}


def test_the_core_needs_numpy_and_nothing_else(core):
    assert packages(core) == {"vasari", "numpy"}


def test_the_core_draws_observes_and_scores(core, tmp_path):
    assert run(core / "python", "-c", METHOD, cwd=tmp_path).stdout.strip() == "drew 8"


def test_the_command_without_its_extra_says_in_one_line_what_to_install(core, tmp_path):
    done = run(core / "vasari", "--help", cwd=tmp_path, check=False)
    said = (done.stdout + done.stderr).strip()
    assert done.returncode != 0
    assert "pip install 'vasari[train]'" in said
    assert len(said.splitlines()) == 1


def quickstart_reports(vasari: list[object], folder: Path, **more: str) -> None:
    run(*vasari, "quickstart", "--tiny", "--out", "first", cwd=folder, **more)
    page = (folder / "first" / "report.html").read_text()
    summary = json.loads((folder / "first" / "summary.json").read_text())
    assert "<html" in page
    assert summary["accuracy"]["final"]["n"] > 0


def test_the_quickstart_runs_from_the_wheel_in_another_folder(wheel, tmp_path):
    """The wheel's files, and the packages of this environment."""
    unpacked = tmp_path / "unpacked"
    run(
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--target",
        unpacked,
        wheel,
        cwd=tmp_path,
    )
    where = "import vasari; print(vasari.__file__)"
    found = run(sys.executable, "-c", where, cwd=tmp_path, PYTHONPATH=str(unpacked)).stdout
    assert Path(found.strip()).is_relative_to(unpacked)
    quickstart_reports([sys.executable, "-m", "vasari"], tmp_path, PYTHONPATH=str(unpacked))


@pytest.mark.heavy
def test_the_quickstart_needs_the_wheel_and_its_training_extra_only(wheel, tmp_path):
    bin_folder = new_venv(tmp_path / "venv")
    install(bin_folder, f"{wheel}[train]")
    quickstart_reports([bin_folder / "vasari"], tmp_path)
