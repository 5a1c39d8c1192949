"""Timings of the attack and of the methods; what they find is in data/benchmarks.json."""
