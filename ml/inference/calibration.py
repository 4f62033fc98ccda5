"""From a network's probability to one that says how often such an image is malignant: applied as it was fitted."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

CalibrationMethod = Literal["none", "temperature", "platt", "isotonic"]

CERTAINTY_LIMITS: Final = (0.001, 0.999)
"""Isotonic regression gives 0 and 1 where a handful of validation images happened to be of one class; no number
of images that we have excludes one in a thousand."""
_LOGIT_EPSILON: Final = 1e-7  # float32 knows no number between 1 - 6e-8 and 1, whose logit is infinite


@dataclass(frozen=True)
class Calibration:
    """A monotone map of probabilities, fitted on validation images.

    Attributes:
        method: "none"; "temperature": sigmoid(logit(p) / temperature) (Guo et al. 2017, arXiv:1706.04599);
            "platt": sigmoid(slope * logit(p) + offset) (Platt 1999), which also takes up another share of
            malignant images than the network was trained with; "isotonic": straight lines between knots
            (Zadrozny & Elkan 2002).
        temperature: above 0; 1 unless the method is temperature.
        slope: above 0; 1 unless the method is platt.
        offset: 0 unless the method is platt.
        knots: of isotonic, two or more: probabilities before, strictly rising, and after, never falling.
    """

    method: CalibrationMethod = "none"
    temperature: float = 1.0
    slope: float = 1.0
    offset: float = 0.0
    knots: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        """Refuse what is no monotone map of probabilities.

        Raises:
            ValueError: the message begins with the field's name.
        """
        if self.method not in get_args(CalibrationMethod):
            raise ValueError(
                f"method must be one of {', '.join(get_args(CalibrationMethod))}, not {self.method!r}"
            )
        for field in ("temperature", "slope"):
            value = getattr(self, field)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{field} must be a number above 0, not {value!r}")
        if not math.isfinite(self.offset):
            raise ValueError(f"offset must be a finite number, not {self.offset!r}")
        if self.method == "isotonic":
            _check_knots(self.knots)

    def apply(self, probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
        """Calibrate probabilities.

        Args:
            probabilities: float (n,), 0 to 1.

        Returns:
            float64 (n,), 0 to 1, in the same order; NaN for what is no probability.
        """
        values = np.asarray(probabilities, dtype=np.float64)
        values = np.where((values >= 0) & (values <= 1), values, math.nan)
        if self.method == "none":
            return values
        if self.method == "isotonic":
            before, after = np.array(self.knots).T
            return np.asarray(np.interp(values, before, after), dtype=np.float64)
        if self.method == "temperature":
            return _sigmoid(logits_of(values) / self.temperature)
        return _sigmoid(self.slope * logits_of(values) + self.offset)

    def to_json(self) -> dict[str, Any]:
        """The method and its own numbers, as `from_json` reads them."""
        fields: dict[CalibrationMethod, dict[str, Any]] = {
            "none": {},
            "temperature": {"temperature": self.temperature},
            "platt": {"slope": self.slope, "offset": self.offset},
            "isotonic": {"knots": [list(knot) for knot in self.knots]},
        }
        return {"method": self.method} | fields[self.method]

    @classmethod
    def from_json(cls, raw: object) -> "Calibration":
        """Read what `to_json` gave.

        Raises:
            ValueError: a field is missing, unknown, or not what it must be; the message begins with its name.
        """
        if not isinstance(raw, Mapping):
            raise ValueError(f"calibration must be a JSON object, not {raw!r}")
        method = raw.get("method")
        if not isinstance(method, str) or method not in _READERS:
            raise ValueError(f"method must be one of {', '.join(_READERS)}, not {method!r}")
        readers = _READERS[method]
        if missing := [name for name in readers if name not in raw]:
            raise ValueError(f"{missing[0]} is missing: the method {method} needs it")
        if unknown := sorted(set(raw) - {"method", *readers}):
            raise ValueError(f"{unknown[0]} is unknown: the method {method} has no such field")
        values = {name: read(name, raw[name]) for name, read in readers.items()}
        return cls(method=cast(CalibrationMethod, method), **values)


def logits_of(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """log(p / (1 - p)); 0 and 1 are taken for the nearest numbers with a finite one."""
    inside = np.clip(probabilities, _LOGIT_EPSILON, 1 - _LOGIT_EPSILON)
    return np.asarray(np.log(inside) - np.log1p(-inside), dtype=np.float64)


def _sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * logits)), dtype=np.float64)  # overflows nowhere


def _check_knots(knots: tuple[tuple[float, float], ...]) -> None:
    if len(knots) < 2:
        raise ValueError(f"knots must be two or more, not {len(knots)}")
    before, after = np.array(knots).T
    if not (np.isfinite(knots).all() and np.min(knots) >= 0 and np.max(knots) <= 1):
        raise ValueError("knots must be probabilities, 0 to 1")
    if not (np.diff(before) > 0).all():
        raise ValueError("knots must rise strictly in their first number")
    if not (np.diff(after) >= 0).all():
        raise ValueError("knots must never fall in their second number")


def _read_number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} must be a number, not {value!r}")
    return float(value)


def _read_knots(name: str, value: object) -> tuple[tuple[float, float], ...]:
    if not isinstance(value, list | tuple) or not all(
        isinstance(knot, list | tuple) and len(knot) == 2 for knot in value
    ):
        raise ValueError(f"{name} must be a list of pairs of numbers")
    return tuple((_read_number(name, before), _read_number(name, after)) for before, after in value)


_READERS: Final[dict[str, dict[str, Callable[[str, object], Any]]]] = {
    "none": {},
    "temperature": {"temperature": _read_number},
    "platt": {"slope": _read_number, "offset": _read_number},
    "isotonic": {"knots": _read_knots},
}
