"""What the records say: the paper's numbers, estimates, claims and their verdicts. Nothing here draws."""
