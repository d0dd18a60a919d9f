"""A stand-in for https://github.com/THUDM/slime: what of its interface the tests need, on a CPU."""
