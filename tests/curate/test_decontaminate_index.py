"""The index of benchmark prompts passes over no prompt that a comparison with each would find."""

import random

from vasari.curate.match.decontaminate import BenchmarkIndex
from vasari.curate.match.image_hash import index_images
from vasari.records import Prompt

WORDS = [
    "bisector",
    "chord",
    "tangent",
    "radius",
    "median",
    "height",
    "slope",
    "vertex",
    "cone",
    "cube",
    "ramp",
    "ladder",
]


def texts(num, seed):
    rng = random.Random(seed)
    made = []
    for place in range(num):
        words = rng.sample(WORDS, rng.randint(1, 7))
        numbers = rng.sample(["2", "five", "7"], rng.randint(0, 2))
        question = " ".join([*words, *numbers])
        made.append(Prompt(id=f"{seed}-{place}", question=question, answer=str(rng.randint(1, 3))))
    return made


def found(benchmark, prompts):
    index = BenchmarkIndex(benchmark, index_images(benchmark, crops=True))
    return {
        (prompts[hit.prompt].id, index.prompts[hit.benchmark].id, hit.rule)
        for hit in index.occurrences(prompts, index_images(prompts))
    }


def test_an_index_of_many_finds_what_an_index_of_each_alone_finds():
    benchmark, prompts = texts(120, 1), texts(60, 2)
    together = found(benchmark, prompts)
    assert together == set().union(*(found([one], prompts) for one in benchmark))
    assert together
