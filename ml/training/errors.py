"""Why a bench command cannot go on."""


class BenchError(RuntimeError):
    """Bad data, a bad run or a failed check. The message is one line for a person and says what to do."""
