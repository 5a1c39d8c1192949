"""Problems that the reader can mend."""


class Problem(ValueError):
    """Something asked for cannot be done. The message is one sentence or two: the thing, the value, the way out.

    Notebooks and the command line show the message alone, without a traceback.
    """

    def _render_traceback_(self) -> list[str]:  # IPython's hook
        return [f"{type(self).__name__}: {self}"]
