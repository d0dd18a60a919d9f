"""The documents hold: links lead somewhere, code runs, commands exist, and files and functions stay
short."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
MAX_LINES, MAX_FUNCTION_LINES = 400, 60

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!`)\[[^\]]*\]\(([^)\s]+)\)|<(?:img|source)[^>]*(?:src|srcset)=\"([^\"]+)\"")
_INLINE = re.compile(r"`((?:scripts/[a-z]+|vasari)(?: [^`]*)?)`")


def names(paths):
    return [str(path.relative_to(ROOT)) for path in paths]


def blocks(path: Path, language: str) -> list[str]:
    return [code for found, code in _FENCE.findall(path.read_text()) if found == language]


def prose(path: Path) -> str:
    return _FENCE.sub("", path.read_text())


def anchors(path: Path) -> set[str]:
    """GitHub's anchors of a document's headings."""
    headings = re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=names(DOCUMENTS))
def test_every_relative_link_leads_somewhere(path):
    broken = []
    for markdown, html in _LINK.findall(prose(path)):
        target = markdown or html
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        if not found.exists() or (anchor and anchor not in anchors(found)):
            broken.append(target)
    assert broken == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", [p for p in DOCUMENTS if blocks(p, "python")], ids=lambda p: str(p.relative_to(ROOT))
)
def test_python_in_a_document_runs_from_top_to_bottom(path, tmp_path):
    code = "\n".join(blocks(path, "python"))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_every_test_that_a_document_names_exists():
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    defined = set(re.findall(r"def (test_\w+)", tests))
    missing = {
        name for path in DOCUMENTS for name in re.findall(r"`(test_\w+)`", path.read_text())
    } - defined
    assert missing - {"test_held_out_style"} == set()  # a set of prompts


def test_the_layers_of_the_architecture_are_those_of_the_contract():
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ][0]["layers"]
    assert (ROOT / "ARCHITECTURE.md").read_text().split("```\n")[1].splitlines() == contract


def commands(path: Path) -> list[str]:
    """The lines of shell blocks and the inline code that call `vasari` or a script, without
    comments and variables."""
    lines = [
        line for code in blocks(path, "bash") for line in code.replace("\\\n", " ").splitlines()
    ]
    lines += _INLINE.findall(prose(path))
    calls = [re.sub(r"^\s*(?:[A-Z_]+=\S+\s+)*", "", line).split(" #")[0].strip() for line in lines]
    calls = [re.sub(r"^torchrun .*? -m vasari\b", "vasari", call) for call in calls]
    return [
        call for call in calls if re.match(r"(vasari|scripts/\w+)\b", call) and "..." not in call
    ]


def parse(call: str) -> None:
    """Fail unless the command line takes these arguments; nothing runs."""
    import click
    import typer

    from vasari.cli.main import app
    from vasari.evaluate.benchmarks.recipe import is_benchmark_recipe, load_benchmark_recipe
    from vasari.run.recipe import load_recipe, read_content

    words = shlex.split(call)
    if words[0].startswith("scripts/"):
        assert os.access(ROOT / words[0], os.X_OK), f"{words[0]} is no script"
        if words[0] != "scripts/quickstart":
            return
        words.insert(1, "quickstart")
    if words[1:] in ([], ["--help"]):
        return
    group = typer.main.get_command(app)
    command = group.get_command(click.Context(group), words[1])
    assert command is not None, f"there is no command {words[1]!r}"
    arguments = [word for word in words[2:] if word != "--help"]
    if len(words) == 2:  # the name of a command, in a sentence
        return
    context = command.make_context(words[1], arguments)
    recipe = context.params.get("recipe")
    if recipe is not None and (ROOT / recipe).exists():
        overrides = context.params.get("overrides") or []
        load = (
            load_benchmark_recipe
            if is_benchmark_recipe(read_content(ROOT / recipe))
            else load_recipe
        )
        load(ROOT / recipe, overrides)


@pytest.mark.parametrize("path", DOCUMENTS, ids=names(DOCUMENTS))
def test_every_command_in_a_document_exists_with_its_options(path):
    for call in commands(path):
        try:
            parse(call)
        except Exception as error:  # noqa: BLE001  (click's errors differ by version; the call must be named)
            pytest.fail(f"{call!r}: {error}")


def test_a_wrong_command_would_be_noticed():
    with pytest.raises(Exception, match="samplr"):
        parse("vasari train recipes/quickstart.yaml --samplr uniform")
    with pytest.raises(Exception, match="unknown key"):
        parse("vasari train recipes/quickstart.yaml --set grpo.stepz=3")


def sources():
    return [
        path
        for folder in ("src", "tests", "benchmarks")
        for path in sorted((ROOT / folder).rglob("*.py"))
    ]


def test_no_file_is_longer_than_its_subject():
    long = {
        str(path.relative_to(ROOT)): count
        for path in sources()
        if (count := len(path.read_text().splitlines())) > MAX_LINES
    }
    assert long == {}


def test_no_function_is_longer_than_a_screen():
    long = {}
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                count = (node.end_lineno or node.lineno) - node.lineno + 1
                if count > MAX_FUNCTION_LINES:
                    long[f"{path.relative_to(ROOT)}:{node.name}"] = count
    assert long == {}


def test_every_folder_of_the_package_is_in_the_tree_of_the_readme():
    text = (ROOT / "README.md").read_text()
    folders = sorted(
        path.name
        for path in (ROOT / "src/vasari").iterdir()
        if path.is_dir() and not path.name.startswith("_")
    )
    assert [name for name in folders if f"{name}/" not in text] == []
