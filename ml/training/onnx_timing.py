"""How long an exported network takes, measured alike wherever a figure of it is published."""

import statistics
import time
from typing import Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

TIMED_THREADS: Final = 1
_TIMED_RUNS: Final = 50
_WARM_UP_RUNS: Final = 5


def median_milliseconds(session: onnxruntime.InferenceSession, image: NDArray[np.float32]) -> float:
    """Median time of 50 answers after five unmeasured ones.

    Args:
        session: of a network whose first output is its answer.
        image: float32 (1, size, size, 3), 0 to 1.
    """
    feed = {session.get_inputs()[0].name: image}
    wanted = [session.get_outputs()[0].name]
    times_s = []
    for _ in range(_WARM_UP_RUNS + _TIMED_RUNS):
        started = time.perf_counter()
        session.run(wanted, feed)
        times_s.append(time.perf_counter() - started)
    return round(1000 * statistics.median(times_s[_WARM_UP_RUNS:]), 2)
