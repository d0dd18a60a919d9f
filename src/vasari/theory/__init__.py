"""A simulated learner for large pools, and the paper's theory checked in numbers. NumPy only."""
