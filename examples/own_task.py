"""A task family of your own: count the discs of two sizes and compare.

    python examples/own_task.py
In a recipe for training, with this file in the working folder and `--plugin own_task`:
    prompts: {tasks: {families: [bars, own_task:Discs]}}
To look at it: vasari gallery --family own_task:Discs --plugin own_task
"""

from vasari.data.tasks.check import check_task_family
from vasari.data.tasks.pool import PoolSettings, make_pool
from vasari.data.tasks.problem import Fact, Problem
from vasari.data.tasks.scene import Disc, Scene
from vasari.verify import verify_answer

RADIUS = {"small": 0.04, "large": 0.1}


class Discs:
    """A task family: how many more discs have one size, with up to 4 or 8 of each by level."""

    name = "discs"
    levels = ("1", "2")

    def sample(self, rng, level):
        """Return a problem of this level; the same generator state gives the same problem."""
        most = {"1": 4, "2": 8}[level]
        counts = {size: int(rng.integers(1, most + 1)) for size in RADIUS}
        sizes = [size for size, count in counts.items() for _ in range(count)]
        # One disc for each cell of a four by four grid, so that no disc hides another.
        cells = rng.permutation(16)[: len(sizes)].tolist()
        # Sorted, so that the same picture always has the same marks and the same key.
        placed = sorted(zip(cells, sizes, strict=True))
        discs = tuple(Disc(_centre(cell), RADIUS[size], fill="blue") for cell, size in placed)
        facts = tuple(Fact(f"How many {size} discs?", str(counts[size])) for size in RADIUS)

        def think(thinker):
            # An imperfect teacher may read a wrong count, and then calculates with that count.
            seen = [thinker.read(size, counts[size], low=1, high=most) for size in RADIUS]
            return str(thinker.subtract(max(seen), min(seen)))

        return Problem(
            scene=Scene(discs),
            scene_key="discs " + " ".join(f"{cell}{size}" for cell, size in placed),
            question="How many more discs of one size than of the other?",
            kind="number",
            think=think,
            answer=str(abs(counts["small"] - counts["large"])),
            facts=facts,
        )


def _centre(cell):
    return 0.125 + 0.25 * (cell % 4), 0.125 + 0.25 * (cell // 4)


if __name__ == "__main__":
    check_task_family(Discs, verify_answer)
    settings = PoolSettings(families=("own_task:Discs",), num_prompts=3)
    for prompt in make_pool(settings, split="train", seed=0):
        print(prompt.question, prompt.solution, "So", prompt.answer)
