"""The served network: a checked ONNX file that turns an image into a probability of malignancy."""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.inference.explain import FEATURE_GRADIENTS, FEATURE_MAPS, HeatMapMethod, class_activation_map
from ml.inference.manifest import MODEL_FILE, QUALITY_FILE, ModelIntegrityError, ModelManifest
from ml.inference.quality import QualityGate, QualityVerdict
from ml.inference.views import mean_over_views, views_of
from ml.preprocessing import PREPROCESSING_VERSION, to_network_input

if TYPE_CHECKING:
    import onnxruntime

Label = Literal["malignant", "benign"]
_VIEWS_AT_ONCE = 2
"""Eight at once are no faster, unless memory is kept between answers, and hold far more of it."""
_VIEWS_AT_ONCE_OF_MANY = 8
"""With memory kept: a quarter less work a picture than two at a time. More, of several pictures, is slower again."""


@dataclass(frozen=True)
class ModelPrediction:
    """What the network says about one image.

    Attributes:
        probability: of malignancy, 0 to 1.
        label: "malignant" if and only if the probability is at the threshold or above.
        threshold: the one that was applied, 0 to 1.
        uncertain: the probability lies within the model's uncertain band.
    """

    probability: float
    label: Label
    threshold: float
    uncertain: bool


class Classifier:
    """A released model, ready to predict. Safe to share between threads."""

    def __init__(
        self,
        manifest: ModelManifest,
        session: "onnxruntime.InferenceSession",
        gate: QualityGate | None,
        views_at_once: int,
    ) -> None:
        """Use `Classifier.load`: only it has checked that all of them belong together."""
        self._manifest = manifest
        self._session = session
        self._gate = gate
        self._views_at_once = views_at_once
        self._input_name: str = session.get_inputs()[0].name
        self._probability, *explaining = [output.name for output in session.get_outputs()]
        self._explains = bool(explaining)

    @classmethod
    def load(cls, folder: Path, *, threads: int = 1, is_for_many: bool = False) -> "Classifier":
        """Load a released model after checking that the file is the one its manifest describes.

        The bytes are read once: what was hashed is what runs.

        Args:
            folder: one folder of ml/released, with manifest.json and model.onnx.
            threads: cores one prediction may use; threads x processes should not exceed the machine's cores.
            is_for_many: for a process that scores one picture after another: faster, and memory that an answer
                needed is not given back.

        Raises:
            ModelIntegrityError: a file is missing, does not match its manifest, or does not fit this program.
        """
        manifest, content = _read_checked(folder)
        path = folder / MODEL_FILE
        from ml.inference.session import check_shapes, start_session  # not before a fork: see there

        session = start_session(content, path, threads, keeps_memory=is_for_many)
        check_shapes(session, manifest, path)
        gate = QualityGate.load(folder / QUALITY_FILE) if manifest.quality_sha256 else None
        return cls(manifest, session, gate, _VIEWS_AT_ONCE_OF_MANY if is_for_many else _VIEWS_AT_ONCE)

    @property
    def manifest(self) -> ModelManifest:
        """What the model says about itself."""
        return self._manifest

    def predict(self, image: Image.Image) -> ModelPrediction:
        """Predict one image: the calibrated mean of the network's answers to all views of it.

        Args:
            image: mode RGB, as `decode_image` gives it.

        Raises:
            ModelIntegrityError: the network gave no probability.
        """
        answers, _ = self._run_views(image, with_features=False)
        return self._prediction_of(answers)

    def judge(self, image: Image.Image) -> tuple[ModelPrediction, QualityVerdict | None]:
        """Predict and assess one image: as `predict` and `assess`, with one run of the network less.

        Args:
            image: mode RGB, as `decode_image` gives it.

        Raises:
            ModelIntegrityError: the network gave no probability.
        """
        answers, features = self._run_views(image, with_features=self._looks_at_features)
        verdict = self._gate.assess(image, features) if self._gate else None
        return self._prediction_of(answers), verdict

    def probabilities(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the network on a batch of prepared inputs; its answers are neither averaged nor calibrated.

        Args:
            pixels: float32 (batch, size_px, size_px, 3), RGB, 0 to 1, as `to_network_input` gives them.

        Returns:
            float32 (batch,), probability of malignancy, 0 to 1.
        """
        (output,) = self._session.run([self._probability], {self._input_name: pixels})
        return np.asarray(output, dtype=np.float32).reshape(len(pixels))

    def assess(self, image: Image.Image) -> QualityVerdict | None:
        """Judge whether a photograph can be used, before its prediction is believed.

        Args:
            image: mode RGB, as `decode_image` gives it.

        Returns:
            What was found; None for a model that was released without quality limits.
        """
        if self._gate is None:
            return None
        features = None
        if self._looks_at_features:
            (maps,) = self._session.run([FEATURE_MAPS], {self._input_name: self._input_of(image)})
            features = _features_of(maps)
        return self._gate.assess(image, features)

    def explain(
        self, image: Image.Image, *, method: HeatMapMethod = HeatMapMethod.HIRES_CAM
    ) -> NDArray[np.float32]:
        """Show where in an image the network found what speaks for malignancy (of the upright view alone).

        Args:
            image: mode RGB, as `decode_image` gives it.
            method: of weighing the feature maps.

        Returns:
            float32 (height, width) of the last feature maps, 0 to 1, for `ml.inference.overlay_heat_map`.

        Raises:
            ModelIntegrityError: the model was released without what a heat map is made of.
        """
        if not self._explains:
            raise ModelIntegrityError(
                f"{self._manifest.identifier} was released without heat maps: switch to another model."
            )
        maps, gradients = self._session.run(
            [FEATURE_MAPS, FEATURE_GRADIENTS], {self._input_name: self._input_of(image)}
        )
        return class_activation_map(maps, gradients, method=method)

    @property
    def _looks_at_features(self) -> bool:
        return self._explains and self._gate is not None and self._gate.skin is not None

    def _run_views(
        self, image: Image.Image, *, with_features: bool
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """The network's answers to all views, and the features of the upright one, which is the first."""
        views = views_of(self._input_of(image), self._manifest.views)
        first, rest = views[: self._views_at_once], views[self._views_at_once :]
        features = None
        if with_features:
            output, maps = self._session.run([self._probability, FEATURE_MAPS], {self._input_name: first})
            answers = [np.asarray(output, dtype=np.float32).reshape(len(first))]
            features = _features_of(maps[:1])
        else:
            answers = [self.probabilities(first)]
        answers += [
            self.probabilities(rest[start : start + self._views_at_once])
            for start in range(0, len(rest), self._views_at_once)
        ]
        return np.concatenate(answers), features

    def _prediction_of(self, answers: NDArray[np.float32]) -> ModelPrediction:
        manifest = self._manifest
        probability = float(manifest.calibration.apply(mean_over_views(answers, manifest.views))[0])
        if not (math.isfinite(probability) and 0.0 <= probability <= 1.0):
            raise ModelIntegrityError(
                f"{manifest.identifier} gave {probability}, which is no probability: switch to another model."
            )
        return ModelPrediction(
            probability=probability,
            label="malignant" if probability >= manifest.threshold else "benign",
            threshold=manifest.threshold,
            uncertain=manifest.uncertain_band is not None and probability in manifest.uncertain_band,
        )

    def _input_of(self, image: Image.Image) -> NDArray[np.float32]:
        return to_network_input(image, size_px=self._manifest.input_size_px)[np.newaxis]


def _features_of(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Float32 (channels,): the mean over a picture's feature maps, (1, height, width, channels)."""
    features: NDArray[np.float32] = np.asarray(maps, dtype=np.float32).mean(axis=(0, 1, 2))
    return features


def check_released_model(folder: Path) -> ModelManifest:
    """Check a released model's file against its manifest without loading it.

    A process that forks later must not load a network: ONNX Runtime's threads do not survive the fork.

    Raises:
        ModelIntegrityError: a file is missing, does not match its manifest, or does not fit this program.
    """
    manifest, _ = _read_checked(folder)
    return manifest


def _read_checked(folder: Path) -> tuple[ModelManifest, bytes]:
    manifest = ModelManifest.read(folder)
    if manifest.preprocessing_version != PREPROCESSING_VERSION:
        raise ModelIntegrityError(
            f"{manifest.identifier} needs preprocessing version {manifest.preprocessing_version}, this program "
            f"has {PREPROCESSING_VERSION}: install the program version that fits, or export the model again."
        )
    if manifest.quality_sha256:
        _read_as_described(folder / QUALITY_FILE, manifest.quality_sha256)
    return manifest, _read_as_described(folder / MODEL_FILE, manifest.sha256)


def _read_as_described(path: Path, sha256: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelIntegrityError(
            f"{path} cannot be read ({error.strerror}): restore the released model from the repository."
        ) from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ModelIntegrityError(
            f"{path} is not the file its manifest describes (sha256 differs): restore it from the repository."
        )
    return content
