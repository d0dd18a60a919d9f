"""The parts of the benchmark `sample_efficiency.py`: cells are trained, read and compared."""
