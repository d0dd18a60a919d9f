"""A simulated learner for large pools, and numerical checks of arXiv:2509.21268's theory."""
