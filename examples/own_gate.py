"""A gate of your own that refuses a prompt for some batches after it was solved twice in a row.

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
    """A gate that trains on groups with unequal rewards and rests prompts solved twice in a row."""

    def __init__(self, batches=10):
        self.batches = batches
        self.solved = {}  # prompt -> times in a row
        self.until = {}  # prompt -> last batch for which it is refused

    def wanted(self, indices, batch):
        """Return which of these prompts may be drawn for this batch, as booleans."""
        until = np.array([self.until.get(int(index), -1) for index in indices])
        return until < batch

    def admit(self, outcomes):
        """Choose the groups that train, and ask for a new prompt in place of each refused group."""
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
        return {"solved": list(self.solved.items()), "until": list(self.until.items())}

    def _restore(self, state):
        self.solved = {int(index): int(times) for index, times in state["solved"]}
        self.until = {int(index): int(batch) for index, batch in state["until"]}


if __name__ == "__main__":
    check_gate(Rest)
    gate = Rest(batches=5)
    for batch in (0, 1):
        gate.admit([GroupOutcome(index=7, rewards=[1, 1, 1], verdicts=[1, 1, 1], batch=batch)])
    print("is prompt 7 wanted?", {batch: bool(gate.wanted([7], batch)[0]) for batch in (2, 6, 7)})
