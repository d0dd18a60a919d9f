"""The modules, functions, files, papers and tests that the documents name exist, and docs/method.md
leaves out no sampler or gate."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from vasari.sample import GATE_NAMES, SAMPLER_NAMES

ROOT = Path(__file__).parents[2]
METHOD = ROOT / "docs" / "method.md"
PAGES = [METHOD, ROOT / "docs" / "theory.md"]
PACKAGE = ROOT / "src" / "vasari"


def tables(page: Path) -> list[tuple[list[str], list[list[str]]]]:
    """Head and rows of each table of a page."""
    found = []
    for block in re.findall(r"(?:^\|.*\n?)+", page.read_text(), re.MULTILINE):
        head, _, *rows = [
            [cell.strip() for cell in line.strip()[1:-1].split("|")] for line in block.splitlines()
        ]
        found.append((head, rows))
    return found


def column(page: Path, name: str) -> list[str]:
    """The cells below a head, of all tables of a page that have it."""
    return [row[head.index(name)] for head, rows in tables(page) if name in head for row in rows]


def quoted(cell: str) -> list[str]:
    return [re.sub(r"\(.*\)$", "", word) for word in re.findall(r"`([^`]+)`", cell)]


def members(body: list[ast.stmt]) -> dict[str, ast.stmt]:
    """What a module or a class defines, by name: functions, classes, variables; imported names
    stand for nothing of theirs."""
    found: dict[str, ast.stmt] = {}
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = node
        elif isinstance(node, ast.AnnAssign | ast.Assign):
            targets = [node.target] if isinstance(node, ast.AnnAssign) else node.targets
            found |= {target.id: node for target in targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name: node for alias in node.names}
    return found


MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(
        ".__init__"
    ): members(ast.parse(path.read_text()).body)
    for path in sorted(PACKAGE.rglob("*.py"))
}
DEFINED = {
    name: node
    for module in MODULES.values()
    for name, node in module.items()
    if not isinstance(node, ast.ImportFrom)
}


def has_member(owner: str, name: str) -> bool:
    """Whether a class of the package, or one that it derives from, has that attribute."""
    node = DEFINED.get(owner)
    if not isinstance(node, ast.ClassDef):
        return False
    bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
    return name in members(node.body) or any(has_member(base, name) for base in bases)


def exists(name: str, owner: str | None = None) -> bool:
    """Whether it is a module, a name in one, a member of a class, or (alone) a member of
    `owner`."""
    head, _, last = name.rpartition(".")
    if name in MODULES or last in MODULES.get(head, {}):
        return True
    if not head:
        return name in DEFINED or (owner is not None and has_member(owner, name))
    return "." not in head and has_member(head, last)


def missing(cell: str) -> list[str]:
    """The quoted names of a cell that are nowhere; TRL's are TRL's, and a bare name may belong to
    the class before it."""
    gone, owner = [], None
    for name in quoted(cell):
        if name.startswith("trl."):
            continue
        if not exists(name, owner):
            gone.append(name)
        owner = name.split(".")[0]
    return gone


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_function_that_a_table_names_exists(page):
    cells = column(page, "function")
    assert sum(len(quoted(cell)) for cell in cells) > 10
    assert [name for cell in cells for name in missing(cell)] == []


@pytest.mark.parametrize(
    "name", ["vasari.score.no", "vasari.no", "ProgressSampler.no", "no", "VAS.draw"]
)
def test_a_function_that_does_not_exist_would_be_noticed(name):
    assert missing(f"`{name}(metric=1)`") == [name]
    assert (
        missing(
            "`vasari.score.pass_rate`, `VarianceAwareSampler.draw`, `LocalConstants.largest_step`,"
            " `progress`"
        )
        == []
    )


def test_every_row_of_the_theory_names_a_test():
    without = [
        row
        for head, rows in tables(PAGES[1])
        if "function" in head
        for row in rows
        if not re.search(r"`test_\w+`", row[head.index("test")])
    ]
    assert without == []


def test_the_appendix_has_the_tests_of_every_row_and_of_no_other():
    split = [(head, rows) for head, rows in tables(METHOD) if rows]
    rows = [row[0] for head, found in split if "test" not in head for row in found]
    tests = [row for head, found in split if "test" in head for row in found]
    assert [row[0] for row in tests] == rows
    untested = ("above", "not there", "nothing to test", "each in [theory.md](theory.md)")
    without = [row for row in tests if not re.search(r"`test_\w+`", row[1])]
    assert [row for row in without if row[1] not in untested] == []


def test_every_row_is_as_long_as_its_head():
    assert [
        row
        for page in PAGES
        for head, rows in tables(page)
        for row in rows
        if len(row) != len(head)
    ] == []


def test_every_sampler_and_gate_is_mapped_to_function_source_and_test():
    listed = " ".join(column(METHOD, "sampler or gate"))
    samplers = re.findall(r"(?:^| )(?:\.\.\. )?`(\w+)`", re.sub(r"gate `\w+`", "", listed))
    gates = re.findall(r"gate `(\w+)`", listed)
    assert set(samplers) == set(SAMPLER_NAMES)
    assert set(gates) == set(GATE_NAMES)


def test_the_papers_of_the_samplers_are_those_that_their_code_names():
    code = "".join(
        path.read_text()
        for folder in ("sample", "score")
        for path in (PACKAGE / folder).rglob("*.py")
    )
    named = set(re.findall(r"\b\d{4}\.\d{5}\b", " ".join(column(METHOD, "source"))))
    assert len(named) > 15
    assert named - set(re.findall(r"\b\d{4}\.\d{5}\b", code)) == set()


# What a + stands before is an override of a configuration (docs/verl.md), and no module.
NAME = re.compile(r"(?<!\+)\bvasari(?:\.[A-Za-z_]\w*)+")
FILE = re.compile(r"`((?:\w+/)+\w+\.(?:py|yaml))`")
FOLDERS = (ROOT, PACKAGE, ROOT / "tests", ROOT / "benchmarks")
ENTRY_POINTS = {"vasari.sampler", "vasari.gate"}
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "ARCHITECTURE.md", *ROOT.glob("docs/**/*.md")])


def stale_names(text: str) -> list[str]:
    """The modules, functions and files that a text names and that do not exist; the first column
    of a table of what 0.1.0 had is not looked at."""
    lines, of_old = [], False
    for line in text.splitlines():
        of_old = line.startswith("|") and (of_old or line.startswith("| 0.1.0"))
        lines.append(line.split("|", 2)[2] if of_old else line)
    today = "\n".join(lines)
    names = {name for name in NAME.findall(today) if not exists(name)} - ENTRY_POINTS
    files = {
        name
        for name in FILE.findall(today)
        if not any((folder / name).exists() for folder in FOLDERS)
    }
    return sorted(names | files)


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.name)
def test_every_module_and_file_that_a_document_names_exists(page):
    assert stale_names(page.read_text()) == []


def test_a_module_or_file_that_does_not_exist_would_be_noticed():
    text = "`vasari.score.no` in `score/no.py`, not `vasari.score.pass_rate` in `score/variance.py`"
    assert stale_names(text) == ["score/no.py", "vasari.score.no"]
    assert stale_names("| 0.1.0 | now |\n| --- | --- |\n| `vasari.old` | `vasari.score` |") == []
