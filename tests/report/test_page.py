import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vasari.core.errors import DataError
from vasari.data.prompt_file import read_prompts
from vasari.report import write_report

VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"}
SECTIONS = ("run", "ladder", "curves", "spent", "pool", "scores", "labels", "examples")


class Outline(HTMLParser):
    """Elements, attributes and text of a page; fails on a tag that closes nothing."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1] == tag, f"</{tag}> closes <{self.open[-1]}>"
        self.open.pop()

    def handle_data(self, data):
        self.text.append(data)


def outline(page: str) -> Outline:
    found = Outline()
    found.feed(page)
    found.close()
    assert found.open == [], "elements are left open"
    return found


def copied(run, target):
    shutil.copytree(run, target)
    return target


@pytest.fixture(scope="module")
def page(finished_run, tmp_path_factory):
    run = copied(finished_run, tmp_path_factory.mktemp("page") / "run")
    path = write_report(run)
    assert path == run / "report.html"
    return path.read_text(encoding="utf-8")


def test_every_element_is_closed_and_every_section_is_there(page):
    found = outline(page)
    assert {attrs["id"] for tag, attrs in found.tags if tag == "section"} == set(SECTIONS)


def test_no_id_stands_twice_and_every_inner_link_leads_somewhere(page):
    found = outline(page)
    ids = [attrs["id"] for _, attrs in found.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = {attrs["href"] for _, attrs in found.tags if "href" in attrs} | set(
        re.findall(r"url\((#[^)]*)\)", page)
    )
    assert {link.removeprefix("#") for link in links} <= set(ids)


def test_the_page_loads_nothing_and_runs_nothing(page):
    found = outline(page)
    for tag, attrs in found.tags:
        assert tag not in {"script", "link", "iframe", "object", "embed", "base", "form"}
        assert not [name for name in attrs if name.startswith("on")]
        assert attrs.get("src", "data:image/").startswith("data:image/")
        assert attrs.get("href", "#").startswith("#")
    assert not re.search(r"https?://|@import|//cdn", page)
    policy = next(
        attrs["content"]
        for tag, attrs in found.tags
        if attrs.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'")


def test_every_picture_says_what_it_shows(page):
    for tag, attrs in outline(page).tags:
        if tag == "img":
            assert len(attrs["alt"]) > 10
        if tag == "svg":
            assert attrs["role"] == "img"
            assert len(attrs["aria-label"]) > 30


def test_pictures_and_page_keep_their_size(page):
    pictures = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    assert len(pictures) > 15
    assert max(map(len, pictures)) < 80_000
    assert len(page.encode()) < 5_000_000


def test_pictures_take_their_colours_from_the_page(page):
    for picture in re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL):
        assert "var(--s" in picture or "var(--ink)" in picture
        assert not re.search(r"#[0-9a-f]{6}", picture)


def test_headline_and_ladder_show_the_numbers_of_the_evaluation(page, finished_run):
    text = " ".join("".join(outline(page).text).split())
    for name in ("base", "cold_start", "uniform", "vas"):
        result = json.loads((finished_run / "evaluation" / f"{name}.json").read_text())["sets"][
            "test"
        ]
        assert f"{100 * result['sampled']['accuracy']['mean']:.1f}" in text
        assert f"{100 * result['sampled']['pass_at']['4']['mean']:.1f}" in text
    assert "288 to train · 384 to score prompts" in text
    assert "2.0 GiB" in text
    assert "8 min 20 s" in text  # 4 + 200.5 + 250 + 45 seconds


@pytest.mark.slow
def test_the_same_run_gives_the_same_page(page, finished_run, tmp_path):
    assert write_report(copied(finished_run, tmp_path / "run")).read_text(encoding="utf-8") == page


def test_an_empty_folder_gives_a_page_that_says_what_is_missing(tmp_path):
    found = outline(write_report(tmp_path).read_text(encoding="utf-8"))
    text = " ".join("".join(found.text).split())
    assert "not evaluated yet" in text
    assert "the training pool" in text
    assert {attrs["id"] for tag, attrs in found.tags if tag == "section"} == set(SECTIONS)


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(DataError, match="there is no such run folder"):
        write_report(tmp_path / "nowhere")


PARTS = (
    "settings.json",
    "stages/rl-vas.json",
    "prompts/train.parquet",
    "prompts/test.parquet",
    "cold_start/metrics.jsonl",
    "rl/vas/metrics.jsonl",
    "rl/vas/validation.jsonl",
    "rl/vas/scores.npz",
    "rl/vas/groups/000000-train.parquet",
    "evaluation/cold_start.json",
    "evaluation/vas.json",
    "evaluation/vas-rollouts.parquet",
)
FOLDERS = ("rl", "rl/vas", "rl/vas/groups", "stages", "prompts", "cold_start", "evaluation")


def some_often(parts):
    """Three of the parts every time, the others with the heavy tests: a page takes two seconds."""
    return [*parts[:3], *(pytest.param(part, marks=pytest.mark.heavy) for part in parts[3:])]


@pytest.mark.slow
@pytest.mark.parametrize(
    "part",
    [*some_often(PARTS), *some_often(FOLDERS)],
)
def test_a_run_without_a_part_still_gives_a_page(finished_run, tmp_path, part):
    run = copied(finished_run, tmp_path / "run")
    shutil.rmtree(run / part) if (run / part).is_dir() else (run / part).unlink()
    outline(write_report(run).read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize("part", some_often(PARTS))
def test_a_damaged_part_is_named_and_still_gives_a_page(finished_run, tmp_path, part):
    run = copied(finished_run, tmp_path / "run")
    (run / part).write_bytes(b'{"step": 1\n\x00\xff<b>damaged')
    text = "".join(outline(write_report(run).read_text(encoding="utf-8")).text)
    named = "groups of vas" if "groups" in part else part.rsplit("/", 1)[-1]
    assert named in text
    assert "could not be read" in text or "damaged lines" in text


def test_groups_without_a_place_in_the_pool_are_named(finished_run, tmp_path):
    run = copied(finished_run, tmp_path / "run")
    file = run / "rl" / "vas" / "groups" / "000000-train.parquet"
    table = pq.read_table(file)
    nowhere = pa.array([-1] * len(table), type=pa.int64())
    pq.write_table(
        table.set_column(table.column_names.index("prompt_index"), "prompt_index", nowhere), file
    )
    assert (
        "the groups of vas could not be read: a group has no position in the pool"
        in write_report(run).read_text()
    )


HOSTILE = (
    "<script>alert(1)</script></style></svg></title>\"'><img src=x onerror=alert(2)> $x_$ \\boxed{}"
    " &amp; {{ 7*7 }} \u202eabc"
)


@pytest.mark.slow
def test_hostile_texts_are_shown_as_text(finished_run, tmp_path):
    run = copied(finished_run, tmp_path / "run")
    _spoil_prompts(run / "prompts" / "train.parquet")
    _spoil_prompts(run / "prompts" / "test.parquet")
    _spoil_texts(run / "evaluation" / "vas-rollouts.parquet")
    for file in (run / "rl" / "vas" / "groups").glob("*.parquet"):
        table = pq.read_table(file)
        said = pa.array(
            [[HOSTILE] * len(row) for row in table["extractions"].to_pylist()],
            type=pa.list_(pa.string()),
        )
        pq.write_table(
            table.set_column(table.column_names.index("extractions"), "extractions", said), file
        )
    _spoil_json(run / "settings.json", "recipe", "name")
    _spoil_json(run / "settings.json", "command")
    _spoil_json(run / "stages" / "rl-vas.json", HOSTILE + "\ud800")
    # An arm's name is a folder's name: no slash, but brackets and quotes.
    (run / "rl" / "uniform").rename(run / "rl" / '"><b onclick=alert(3)>')
    result = json.loads((run / "evaluation" / "vas.json").read_text())
    result["sets"]["test"]["by_category"] = {
        HOSTILE + "\ud800": {"mean": 0.5, "low": 0.4, "high": 0.6, "n": 3}
    }
    (run / "evaluation" / "vas.json").write_text(json.dumps(result))
    page = write_report(run).read_text(encoding="utf-8")
    found = outline(page)
    assert not [
        tag
        for tag, attrs in found.tags
        if tag == "script" or any(name.startswith("on") for name in attrs)
    ]
    assert all(attrs["src"].startswith("data:image/") for tag, attrs in found.tags if tag == "img")
    text = "".join(found.text)
    assert "<script>alert(1)</script>" in text
    assert "{{ 7*7 }}" in text
    assert "\x00" not in page


def _spoil_prompts(path):
    table = pq.read_table(path)
    hostile = pa.array([HOSTILE] * table.num_rows)
    for name in ("question", "category", "difficulty"):
        table = table.set_column(table.column_names.index(name), name, hostile)
    images = [[{"bytes": row[0]["bytes"], "path": HOSTILE}] for row in table["images"].to_pylist()]
    place = table.column_names.index("images")
    pq.write_table(
        table.set_column(place, "images", pa.array(images, type=table.schema.field("images").type)),
        path,
    )
    assert read_prompts(path)[0].question == HOSTILE


def _spoil_texts(path):
    table = pq.read_table(path)
    texts = pa.array([[HOSTILE + "\x00\x1b[31m"] * len(row) for row in table["texts"].to_pylist()])
    pq.write_table(table.set_column(table.column_names.index("texts"), "texts", texts), path)


def _spoil_json(path, *keys):
    content = json.loads(path.read_text())
    node = content
    for key in keys[:-1]:
        node = node[key]
    node[keys[-1]] = HOSTILE + "\ud800"
    path.write_text(json.dumps(content))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_a_browser_lays_the_page_out_without_complaint(page, tmp_path):
    (tmp_path / "report.html").write_text(page, encoding="utf-8")
    for width in (1200, 500):
        picture = tmp_path / f"{width}.png"
        command = [
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={tmp_path / 'profile'}",
        ]
        command += [
            "--enable-logging=stderr",
            f"--window-size={width},2000",
            f"--screenshot={picture}",
        ]
        ran = subprocess.run(
            [*command, f"file://{tmp_path}/report.html"],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        assert picture.stat().st_size > 20_000
        assert "Content Security Policy" not in ran.stderr
