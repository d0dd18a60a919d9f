"""Are near-duplicates and benchmark leaks found on Geometry3K, and how fast is the comparison?

    python benchmarks/near_duplicates.py [--geometry3k DIR] [--texts 20000] [--repeats 3]

DIR holds `problems.jsonl` (id, question, answer, image) and its images; without it only the speeds
are measured. Half of the problems are the benchmark, the other half is the clean training pool,
into which leaks of the first half are planted. imagehash and datatrove are measured beside ours, in
the same run, where they are installed. Prints two tables and writes them; what is under way is told
on stderr, since on a busy machine the whole takes many minutes.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import random
import re
import statistics
import string
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import vasari
from result_files import MACHINE, result_file
from vasari.curate.match.decontaminate import BenchmarkIndex
from vasari.curate.match.image_hash import hash_thumbnails, index_images, thumbnail
from vasari.curate.match.near_duplicates import near_duplicates
from vasari.curate.match.question_text import containment, read_question
from vasari.data.images import open_image
from vasari.records import ImageRef, Prompt

SYNONYMS = {
    "find": ("determine", "work out", "calculate", "what is"),
    "measure": ("size",),
    "area": ("surface",),
    "perimeter": ("length of the boundary",),
    "figure": ("drawing",),
    "round": ("give your result rounded",),
    "if": ("given that", "when"),
    "assume": ("take it",),
    "nearest": ("closest",),
    "length": ("distance",),
}
OPENINGS = ("Look at the diagram. ", "Consider the picture. ", "", "Using the drawing, ")


def load(folder: Path) -> list[Prompt]:
    """Read Geometry3K's problems as prompts, with images as paths."""
    rows = [
        json.loads(line)
        for line in (folder / "problems.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    paths = [str(folder / row["image"]) for row in rows]
    return [
        Prompt(
            id=row["id"],
            question=row["question"],
            answer=row["answer"],
            images=(ImageRef(path=path),),
        )
        for row, path in zip(rows, paths, strict=True)
    ]


def edit_image(ref: ImageRef, rng: random.Random, *, cut: bool) -> ImageRef:
    """Return the image resized and recompressed; with `cut`, also cropped by 5%."""
    image = open_image(ref)
    w, h = image.size
    if cut:
        left, top = (rng.choice((0.0, 0.05, rng.random() * 0.05)) for _ in range(2))
        image = image.crop(
            (
                round(left * w),
                round(top * h),
                round(w - (0.05 - left) * w),
                round(h - (0.05 - top) * h),
            )
        )
    scale = rng.choice((0.5, 0.6, 0.75, 1.25))
    image = image.resize(
        (max(8, round(image.width * scale)), max(8, round(image.height * scale))),
        Image.Resampling.BICUBIC,
    )
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=rng.choice((50, 70, 85)))
    return ImageRef(data=buffer.getvalue())


def edit_punctuation(text: str, rng: random.Random) -> str:
    """Change punctuation between words; decimal points and marks inside words stay."""
    text = re.sub(r"[.,;:!?](?=\s|$)", lambda _: rng.choice(("", ";", " !", ".", ",")), text)
    return re.sub(r" ", lambda _: rng.choice((" ", " ", " ", "  ", ", ")), text)


def reword(text: str, rng: random.Random) -> str:
    """Reword a question with synonyms, shuffled sentences and another opening; numbers stay."""

    def other(match: re.Match[str]) -> str:
        return rng.choice(SYNONYMS[match.group().lower()])

    sentences = re.split(r"(?<=[.?])\s+", text)
    rng.shuffle(sentences)
    pattern = r"(?<!\\)\b(" + "|".join(SYNONYMS) + r")\b"
    return rng.choice(OPENINGS) + re.sub(pattern, other, " ".join(sentences), flags=re.IGNORECASE)


def other_number(prompt: Prompt, rng: random.Random) -> Prompt:
    """Return a different prompt on the same figure: another number in its question or figure."""
    digits = list(re.finditer(r"\d+", prompt.question))
    if digits:
        place = rng.choice(digits)
        question = (
            prompt.question[: place.start()]
            + str(int(place.group()) + 3)
            + prompt.question[place.end() :]
        )
        return Prompt(
            id=prompt.id + "-number", question=question, answer=prompt.answer, images=prompt.images
        )
    image = open_image(prompt.images[0])
    ImageDraw.Draw(image).text(
        (image.width // 2, image.height // 2), str(rng.randrange(10, 99)), fill="black"
    )
    buffer = BytesIO()
    image.save(buffer, "PNG")
    images = (ImageRef(data=buffer.getvalue()),)
    return Prompt(
        id=prompt.id + "-number",
        question=prompt.question,
        answer=f"7{prompt.answer}",
        images=images,
    )


def planted(prompts: list[Prompt], kind: str, rng: random.Random) -> list[Prompt]:
    """Return an edited copy of each prompt, as a leak to be found; `kind` says how it is edited."""
    rows = []
    for prompt in prompts:
        question = (
            reword(prompt.question, rng)
            if kind == "paraphrase"
            else edit_punctuation(prompt.question, rng)
        )
        images = (
            (edit_image(prompt.images[0], rng, cut=kind == "cut"),)
            if kind != "paraphrase"
            else prompt.images
        )
        rows.append(
            Prompt(id=f"{prompt.id}-{kind}", question=question, answer=prompt.answer, images=images)
        )
    return rows


def tell(done: str) -> None:
    """Say on stderr what is measured next, and the processor time used so far."""
    print(f"{time.process_time():.0f} s: {done}", file=sys.stderr, flush=True)


def quality(prompts: list[Prompt], seed: int = 0) -> list[str]:
    """Return table rows on the share of planted leaks found and the precision."""
    rng = random.Random(seed)
    order = rng.sample(prompts, len(prompts))
    tests, clean = order[: len(order) // 2], order[len(order) // 2 :]
    index = BenchmarkIndex(tests, index_images(tests, crops=True))
    rows = []
    tell("clean prompts")
    false = {drop.id: drop for drop in index.leaks(clean, index_images(clean))}
    by_id = {prompt.id: prompt for prompt in prompts}
    natural = sum(
        read_question(by_id[name].question).words
        == read_question(by_id[str(drop.collided_with)].question).words
        and by_id[name].answer == by_id[str(drop.collided_with)].answer
        for name, drop in false.items()
    )
    for kind, label in (
        ("copy", "leak: resized, recompressed, punctuation"),
        ("cut", "the same, and cut by 5%"),
        ("paraphrase", "leak: reworded by rules, same figure"),
    ):
        tell(label)
        leaks = planted(tests, kind, rng)
        found = {drop.id: drop for drop in index.leaks(leaks, index_images(leaks))}
        right = sum(drop.collided_with == name.rsplit("-", 1)[0] for name, drop in found.items())
        precision = len(found) / (len(found) + len(false))
        rows.append(
            f"| {label} | {len(leaks)} | {len(found) / len(leaks):.3f} | {precision:.3f} |"
            f" {right / len(leaks):.3f} |"
        )
        if kind == "paraphrase":
            pairs = zip(tests, leaks, strict=True)
            shared = [
                containment(read_question(a.question).shingles, read_question(b.question).shingles)
                for a, b in pairs
            ]
            hard = [
                leak.id in found for leak, share in zip(leaks, shared, strict=True) if share < 0.8
            ]
            rows.append(
                f"| of these, under 0.8 of the words kept | {len(hard)} |"
                f" {statistics.mean(hard):.3f} | | |"
            )
    tell("near-duplicates within the set")
    rows += _within(prompts, rng)
    rows.append("")
    rows.append(
        f"Precision counts every one of the {len(false)} flagged of {len(clean)} clean prompts as"
        f" wrong; {natural} of them have the words and the answer of the benchmark prompt over a"
        " like figure, so Geometry3K itself repeats them."
    )
    return rows


def _within(prompts: list[Prompt], rng: random.Random) -> list[str]:
    """Return table rows on near-duplicates planted within one pool."""
    own = {drop.id for drop in near_duplicates(prompts, index_images(prompts))}
    base = [prompt for prompt in prompts if prompt.id not in own]
    copies = planted(base, "copy", rng)
    numbers = [other_number(prompt, rng) for prompt in base]
    pool = [*base, *copies, *numbers]
    drops = {drop.id for drop in near_duplicates(pool, index_images(pool))}
    found, lost = sum(copy.id in drops for copy in copies), sum(row.id in drops for row in numbers)
    wrong = len(drops) - found
    return [
        (
            f"| near-duplicate: resized, recompressed, punctuation | {len(copies)} |"
            f" {found / len(copies):.3f} | {found / (found + wrong):.3f} | |"
        ),
        (
            f"| the same figure with another number: kept | {len(numbers)} |"
            f" {1 - lost / len(numbers):.3f} | | |"
        ),
        f"| Geometry3K's own, nothing planted: dropped | {len(prompts)} | {len(own)} prompts | | |",
    ]


def texts(count: int, seed: int = 0) -> list[Prompt]:
    """Make questions of 40 random words; one in ten copies another with other punctuation."""
    rng = random.Random(seed)
    words = ["".join(rng.choices(string.ascii_lowercase, k=rng.randint(2, 9))) for _ in range(5000)]
    rows: list[str] = []
    for place in range(count):
        fresh = " ".join(rng.choices(words, k=40))
        copied = rows and place % 10 == 0
        rows.append(edit_punctuation(rng.choice(rows), rng) if copied else fresh)
    return [Prompt(id=str(i), question=row, answer="1") for i, row in enumerate(rows)]


def rates(work: Callable[[], object], count: int, repeats: int) -> str:
    """Time `work` and format items a CPU second as median and range."""
    found = []
    for _ in range(repeats):
        started = time.process_time()
        work()
        found.append(count / (time.process_time() - started))
    return f"{statistics.median(found):,.0f} ({min(found):,.0f}-{max(found):,.0f})"


def speeds(num_texts: int, repeats: int) -> list[str]:
    """Return the table rows on speed."""
    tell(f"{num_texts:,} texts, {repeats} times")
    prompts = texts(num_texts)
    found = len(near_duplicates(prompts, index_images(prompts)))
    ours = rates(lambda: near_duplicates(prompts, index_images(prompts)), num_texts, repeats)
    tell("hashes of images")
    rng = np.random.default_rng(0)
    images = [
        Image.fromarray(rng.integers(0, 256, size=(480, 640, 3), dtype=np.uint8)) for _ in range(50)
    ]
    hashes = rates(
        lambda: hash_thumbnails([thumbnail(image) for image in images]), len(images), repeats
    )
    theirs_image = peer(lambda: rates(imagehash_of(images), len(images), repeats))
    tell("datatrove")
    few = prompts[: min(2000, num_texts)]  # the peer is slow
    theirs_text = peer(
        lambda: f"{rates(lambda: run_datatrove(few), len(few), 1)} on {len(few):,} of them"
    )
    return [
        (
            f"| {num_texts:,} texts of {statistics.mean(len(p.question) for p in prompts):.0f}"
            f" characters, end to end ({found:,} dropped) | {ours} | datatrove {theirs_text} |"
        ),
        f"| 256-bit hashes of 640 x 480 images, decoded | {hashes} | imagehash {theirs_image} |",
    ]


def peer(measure: Callable[[], str]) -> str:
    """Return what is measured of another package, or why nothing can be."""
    try:
        return measure()
    except ImportError as error:
        return f"not installed ({error.name or error})"
    except Exception as error:  # noqa: BLE001  (of a peer with packages that it does not fit)
        return f"fails ({type(error).__name__})"


def imagehash_of(images: list[Image.Image]) -> Callable[[], object]:
    """Return the peer's hashing of images."""
    import imagehash  # noqa: PLC0415

    return lambda: [imagehash.phash(image, hash_size=16) for image in images]


def run_datatrove(prompts: list[Prompt]) -> None:
    """Run datatrove's four MinHash stages in this process, with default settings and no log."""
    from datatrove.data import Document  # noqa: PLC0415
    from datatrove.executor import LocalPipelineExecutor  # noqa: PLC0415
    from datatrove.pipeline import dedup  # noqa: PLC0415
    from datatrove.pipeline.dedup.minhash import MinhashConfig  # noqa: PLC0415
    from datatrove.pipeline.writers import JsonlWriter  # noqa: PLC0415
    from datatrove.utils.logging import logger  # noqa: PLC0415

    logger.remove()
    documents = [Document(text=prompt.question, id=prompt.id) for prompt in prompts]
    with tempfile.TemporaryDirectory() as folder:
        config = MinhashConfig()
        stages = [
            ([documents, dedup.MinhashDedupSignature(f"{folder}/s", config=config)], 1),
            (
                [dedup.MinhashDedupBuckets(f"{folder}/s", f"{folder}/b", config=config)],
                config.num_buckets,
            ),
            ([dedup.MinhashDedupCluster(f"{folder}/b", f"{folder}/r", config=config)], 1),
            ([documents, dedup.MinhashDedupFilter(f"{folder}/r"), JsonlWriter(f"{folder}/o")], 1),
        ]
        for number, (pipeline, tasks) in enumerate(stages):
            LocalPipelineExecutor(
                pipeline, tasks=tasks, workers=1, logging_dir=f"{folder}/l{number}"
            ).run()


def main() -> None:
    """Measure, print the tables and write them to a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--geometry3k", type=Path, help="folder with problems.jsonl and images")
    parser.add_argument("--texts", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    logging.disable(logging.INFO)
    lines = [
        "# Near-duplicates and benchmark leaks",
        "",
        "Processor time of one process, median (range).",
        "",
    ]
    lines += [
        "| work | ours /s | peer /s |",
        "| --- | --- | --- |",
        *speeds(args.texts, args.repeats),
        "",
    ]
    if args.geometry3k:
        started = time.process_time()
        head = "| planted into Geometry3K | prompts | recall | precision | names the right prompt |"
        lines += [head, "| --- | --- | --- | --- | --- |", *quality(load(args.geometry3k))]
        lines.append(
            f"{time.process_time() - started:.0f} s of processor time, planting and decoding"
            " included."
        )
        lines.append("")
    peers = ", ".join(
        f"{name} {_version(name)}"
        for name in ("rensa", "imagehash", "datatrove", "numpy", "pillow")
    )
    lines += [
        (
            f"`python benchmarks/near_duplicates.py --geometry3k DIR --texts {args.texts} --repeats"
            f" {args.repeats}`, seed 0, vasari {vasari.__version__}, {peers}, Python"
            f" {platform.python_version()}, {MACHINE}, load {os.getloadavg()[0]:.1f}."
        ),
        "",
    ]
    text = "\n".join(lines)
    print(text)
    result_file("near_duplicates").write_text(text)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


if __name__ == "__main__":
    sys.exit(main())
