"""Plain training, with which every method is compared."""

from aeda_core.methods.base import Method


class Original(Method):
    """`original`: minimise L_target over the training set as it is (Sec. 4.1)."""

    name, label, order = "original", "Original", 10
    divisible = True
