"""A simulated learner for pools too large to train on, and the paper's theory checked in numbers.
NumPy only.
"""
