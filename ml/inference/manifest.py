"""What a released model says about itself: manifest.json, read and checked before anything is served."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, get_args

from ml.inference.calibration import Calibration
from ml.inference.views import VIEW_COUNTS

MANIFEST_FILE: Final = "manifest.json"
MODEL_FILE: Final = "model.onnx"
QUALITY_FILE: Final = "quality.npz"

Precision = Literal["float32", "int8"]

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_VERSION: Final = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class ModelIntegrityError(RuntimeError):
    """A released model cannot be trusted or loaded. The message is one sentence that says what to do."""


@dataclass(frozen=True)
class OperatingPoint:
    """Where the threshold stands on the ROC curve of the validation images.

    Attributes:
        name: what it was chosen for, such as "sensitivity 0.95 on validation".
        sensitivity: share of the malignant validation images called malignant, 0 to 1.
        specificity: share of the benign validation images called benign, 0 to 1.
    """

    name: str
    sensitivity: float
    specificity: float


@dataclass(frozen=True)
class UncertainBand:
    """Probabilities at which the model neither reaches 95% sensitivity nor 95% specificity by itself.

    Attributes:
        low: the lower of both thresholds on the validation images, 0 to 1.
        high: the higher one, 0 to 1.
    """

    low: float
    high: float

    def __contains__(self, probability: float) -> bool:
        """Whether a probability is in doubt."""
        return self.low <= probability < self.high


@dataclass(frozen=True)
class MeasuredShare:
    """A share of images with its 95% interval, 0 to 1."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class MeasuredPerformance:
    """What the served threshold reached on images that neither training nor the choice of the threshold had seen.

    Attributes:
        set: title of the test images.
        images: how many there were.
        malignant: of these.
        benign: of these.
        sensitivity: share of the malignant ones called malignant.
        specificity: share of the benign ones called benign.
    """

    set: str
    images: int
    malignant: int
    benign: int
    sensitivity: MeasuredShare
    specificity: MeasuredShare


@dataclass(frozen=True)
class DataNotice:
    """The images a model was trained on, and what their owners ask for.

    Attributes:
        name: the collection.
        counts: images by part, such as {"train_malignant": 3680}.
        terms: what the images and the models made from them may be used for.
        credit: works to cite.
    """

    name: str
    counts: Mapping[str, int]
    terms: str
    credit: tuple[str, ...]


@dataclass(frozen=True)
class ModelManifest:
    """A released model's description.

    Releases made before calibration, views, the uncertain band, the test performance and the quality limits were
    known lack these fields; they serve as they always did.

    Attributes:
        name: architecture and line of the model, such as "custom_cnn".
        version: three numbers, such as "1.0.0".
        sha256: of the bytes of model.onnx, lower-case hexadecimal.
        quality_sha256: of the bytes of quality.npz, the limits of usable photographs; None: it has none.
        precision: of the network's arithmetic.
        input_size_px: side of the square input.
        preprocessing_version: the `ml.preprocessing` the network was trained with.
        views: pictures that one answer is the mean of: 1, or 8 with the mirror images and quarter turns.
        calibration: what turns the network's mean answer into the probability that is shown.
        threshold: an image is called malignant at this probability or above, 0 to 1.
        operating_point: how the threshold was chosen and what it reached on validation images.
        uncertain_band: where the answer is in doubt; None: not known.
        test_performance: what the threshold reached on images it had not seen; None: not known.
        trained_on: one sentence on the training images.
        data: the same in parts, with terms and credit.
        metrics: headline figures on the test split, name to value; all of them are in metrics.json.
        created: when it was exported, aware.
        command: what to type to make it again.
        libraries: versions it was made with, name to version.
    """

    name: str
    version: str
    sha256: str
    quality_sha256: str | None
    precision: Precision
    input_size_px: int
    preprocessing_version: str
    views: int
    calibration: Calibration
    threshold: float
    operating_point: OperatingPoint
    uncertain_band: UncertainBand | None
    test_performance: MeasuredPerformance | None
    trained_on: str
    data: DataNotice
    metrics: Mapping[str, float]
    created: datetime
    command: str
    libraries: Mapping[str, str]

    @property
    def identifier(self) -> str:
        """Name and version as the folder under ml/released spells them."""
        return f"{self.name}-{self.version}"

    @property
    def version_key(self) -> tuple[int, ...]:
        """The version as numbers, for ordering."""
        return tuple(int(part) for part in self.version.split("."))

    @classmethod
    def read(cls, folder: Path) -> "ModelManifest":
        """Read and check the manifest of a released model's folder.

        Raises:
            ModelIntegrityError: it is missing, is not JSON, or a field is missing or impossible.
        """
        path = folder / MANIFEST_FILE
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise ModelIntegrityError(
                f"{path} is missing: restore the released model's folder from the repository."
            ) from error
        except (OSError, ValueError) as error:
            raise ModelIntegrityError(
                f"{path} cannot be read as JSON ({error}): restore it from the repository."
            ) from error
        try:
            return _parse(raw)
        except _FieldError as error:
            raise ModelIntegrityError(f"{path}: {error}: restore it from the repository.") from error


class _FieldError(Exception):
    """One field of a manifest is missing or wrong."""


def _parse(raw: object) -> ModelManifest:
    fields = _Fields(raw, "the manifest")
    point = _Fields(fields.get("operating_point"), "operating_point")
    data = _Fields(fields.get("data"), "data")
    credit = data.get("credit")
    if not isinstance(credit, list) or not all(isinstance(work, str) for work in credit):
        raise _FieldError("data.credit must be a list of texts")
    return ModelManifest(
        name=fields.text("name", _NAME),
        version=fields.text("version", _VERSION),
        sha256=fields.text("sha256", _SHA256),
        quality_sha256=fields.text("quality_sha256", _SHA256) if fields.has("quality_sha256") else None,
        precision=fields.one_of("precision", get_args(Precision)) if fields.has("precision") else "float32",
        input_size_px=fields.positive_int("input_size_px"),
        preprocessing_version=fields.text("preprocessing_version"),
        views=fields.one_of("views", VIEW_COUNTS) if fields.has("views") else 1,
        calibration=fields.calibration("calibration") if fields.has("calibration") else Calibration(),
        threshold=fields.fraction("threshold"),
        operating_point=OperatingPoint(
            name=point.text("name"),
            sensitivity=point.fraction("sensitivity"),
            specificity=point.fraction("specificity"),
        ),
        uncertain_band=_parse_band(fields.get("uncertain_band")) if fields.has("uncertain_band") else None,
        test_performance=(
            _parse_performance(fields.get("test_performance")) if fields.has("test_performance") else None
        ),
        trained_on=fields.text("trained_on"),
        data=DataNotice(
            name=data.text("name"),
            counts={key: int(count) for key, count in data.numbers("counts").items()},
            terms=data.text("terms"),
            credit=tuple(credit),
        ),
        metrics=fields.numbers("metrics"),
        created=fields.time("created"),
        command=fields.text("command"),
        libraries=fields.texts("libraries"),
    )


def _parse_band(raw: object) -> UncertainBand:
    fields = _Fields(raw, "uncertain_band")
    low, high = fields.fraction("low"), fields.fraction("high")
    if low > high:
        raise _FieldError(f"uncertain_band runs from {low} to {high}: low must not be above high")
    return UncertainBand(low=low, high=high)


def _parse_performance(raw: object) -> MeasuredPerformance:
    fields = _Fields(raw, "test_performance")
    images, malignant, benign = (fields.positive_int(name) for name in ("images", "malignant", "benign"))
    if malignant + benign != images:
        raise _FieldError(f"test_performance counts {malignant} + {benign} images, but {images} in all")
    return MeasuredPerformance(
        set=fields.text("set"),
        images=images,
        malignant=malignant,
        benign=benign,
        sensitivity=_parse_share(fields.get("sensitivity"), "test_performance.sensitivity"),
        specificity=_parse_share(fields.get("specificity"), "test_performance.specificity"),
    )


def _parse_share(raw: object, where: str) -> MeasuredShare:
    fields = _Fields(raw, where)
    share = MeasuredShare(**{name: fields.fraction(name) for name in ("value", "low", "high")})
    if not share.low <= share.value <= share.high:
        raise _FieldError(f"{where} lies outside its own interval")
    return share


class _Fields:
    """A JSON object whose values are asked for by type."""

    def __init__(self, raw: object, where: str) -> None:
        if not isinstance(raw, dict):
            raise _FieldError(f"{where} must be a JSON object")
        self._raw: dict[str, Any] = raw

    def has(self, name: str) -> bool:
        return self._raw.get(name) is not None

    def get(self, name: str) -> Any:
        if name not in self._raw:
            raise _FieldError(f"{name} is missing")
        return self._raw[name]

    def text(self, name: str, pattern: re.Pattern[str] | None = None) -> str:
        value = self.get(name)
        if not isinstance(value, str) or not value or (pattern and not pattern.fullmatch(value)):
            raise _FieldError(f"{name} is not a valid text ({value!r})")
        return value

    def positive_int(self, name: str) -> int:
        value = self.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise _FieldError(f"{name} must be a whole number above 0 ({value!r})")
        return value

    def fraction(self, name: str) -> float:
        value = self.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise _FieldError(f"{name} must be a number from 0 to 1 ({value!r})")
        return float(value)

    def one_of(self, name: str, choices: tuple[Any, ...]) -> Any:
        value = self.get(name)
        if value not in choices or isinstance(value, bool):
            raise _FieldError(f"{name} must be one of {', '.join(map(str, choices))}, not {value!r}")
        return value

    def calibration(self, name: str) -> Calibration:
        try:
            return Calibration.from_json(self.get(name))
        except ValueError as error:
            raise _FieldError(f"{name}: {error}") from error

    def time(self, name: str) -> datetime:
        try:
            value = datetime.fromisoformat(self.text(name))
        except ValueError as error:
            raise _FieldError(f"{name} is no ISO 8601 time") from error
        if value.tzinfo is None:
            raise _FieldError(f"{name} must name its time zone")
        return value

    def numbers(self, name: str) -> dict[str, float]:
        value = self.get(name)
        if not isinstance(value, dict) or not all(
            isinstance(number, int | float) and not isinstance(number, bool) for number in value.values()
        ):
            raise _FieldError(f"{name} must map names to numbers")
        return dict(value)

    def texts(self, name: str) -> dict[str, str]:
        value = self.get(name)
        if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
            raise _FieldError(f"{name} must map names to texts")
        return dict(value)
