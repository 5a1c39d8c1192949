"""The ceiling: plain training on data that do not have the bias."""

from aeda_core.methods.base import Method


class Oracle(Method):
    """`oracle`, ours: as `original`; whoever asks for it gives it a training set in which bias and target are
    independent, which no method against bias is given."""

    name, label, order, ours = "oracle", "Oracle (random backgrounds)", 120, True
    divisible = True
