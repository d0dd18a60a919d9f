"""The parts of the benchmark `sample_efficiency.py`: cells are run one by one, then read and
compared.
"""
