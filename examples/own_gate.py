"""A gate of your own: hard groups train, and a prompt that was solved twice in a row rests for some
batches.

    python examples/own_gate.py
In a recipe, with this file in the working folder and `--plugin own_gate`:
    grpo: {gate: {name: own_gate:Rest, settings: {batches: 5}}}
With TRL:
    VarianceAwareGRPOTrainer(..., gate={"name": "own_gate:Rest", "batches": 5})
"""

import numpy as np

from vasari.records import Admission, GroupOutcome
from vasari.sample import Gate, check_gate
from vasari.sample.gate import EQUAL_WITHIN, verifiable_rewards


class Rest(Gate):
    """Admits groups whose rewards differ; what was solved twice in a row is not wanted for
    `batches` batches.
    """

    def __init__(self, batches=10):
        self.batches = batches
        self.solved = {}  # prompt -> times in a row
        self.until = {}  # prompt -> last batch of its rest

    def wanted(self, indices, batch):
        """False for a prompt that rests."""
        return np.array(
            [self.until.get(int(index), -1) < batch for index in indices], dtype=np.bool_
        )

    def admit(self, outcomes):
        """Which groups train, and another prompt for each that does not."""
        admitted = np.zeros(len(outcomes), dtype=np.bool_)
        for place, group in enumerate(outcomes):
            rewards = verifiable_rewards(group)
            admitted[place] = rewards.size >= 2 and np.ptp(rewards) > EQUAL_WITHIN
            all_right = rewards.size >= 2 and np.nanmin(group.verdicts) == 1
            self.solved[group.index] = self.solved.get(group.index, 0) + 1 if all_right else 0
            if self.solved[group.index] >= 2:
                self.until[group.index] = (group.batch or 0) + self.batches
        return Admission(admitted, redraw=int((~admitted).sum()))

    def _state(self):
        return {
            name: [list(pair) for pair in getattr(self, name).items()]
            for name in ("solved", "until")
        }

    def _restore(self, state):
        self.solved, self.until = (
            {int(index): int(n) for index, n in state[name]} for name in ("solved", "until")
        )


if __name__ == "__main__":
    check_gate(Rest)
    gate = Rest(batches=5)
    for batch in (0, 1):
        gate.admit([GroupOutcome(index=7, rewards=[1, 1, 1], verdicts=[1, 1, 1], batch=batch)])
    print("is prompt 7 wanted?", {batch: bool(gate.wanted([7], batch)[0]) for batch in (2, 6, 7)})
