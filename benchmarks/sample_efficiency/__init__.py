"""Parts of the benchmark `sample_efficiency.py`: make training runs, read and compare them."""
