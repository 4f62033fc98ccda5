"""The served network: a checked ONNX file that turns an image into a probability of malignancy."""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.inference.manifest import MODEL_FILE, ModelIntegrityError, ModelManifest
from ml.preprocessing import PREPROCESSING_VERSION, to_network_input

if TYPE_CHECKING:
    import onnxruntime

Label = Literal["malignant", "benign"]


@dataclass(frozen=True)
class ModelPrediction:
    """What the network says about one image.

    Attributes:
        probability: of malignancy, 0 to 1.
        label: "malignant" if and only if the probability is at the threshold or above.
        threshold: the one that was applied, 0 to 1.
    """

    probability: float
    label: Label
    threshold: float


class Classifier:
    """A released model, ready to predict. Safe to share between threads."""

    def __init__(self, manifest: ModelManifest, session: "onnxruntime.InferenceSession") -> None:
        """Use `Classifier.load`: only it has checked that both belong together."""
        self._manifest = manifest
        self._session = session
        self._input_name: str = session.get_inputs()[0].name

    @classmethod
    def load(cls, folder: Path, *, threads: int = 1) -> "Classifier":
        """Load a released model after checking that the file is the one its manifest describes.

        The bytes are read once: what was hashed is what runs.

        Args:
            folder: one folder of ml/released, with manifest.json and model.onnx.
            threads: cores one prediction may use; threads x processes should not exceed the machine's cores.

        Raises:
            ModelIntegrityError: a file is missing, does not match its manifest, or does not fit this program.
        """
        manifest, content = _read_checked(folder)
        path = folder / MODEL_FILE
        from ml.inference.session import check_shapes, start_session  # not before a fork: see there

        session = start_session(content, path, threads)
        check_shapes(session, manifest, path)
        return cls(manifest, session)

    @property
    def manifest(self) -> ModelManifest:
        """What the model says about itself."""
        return self._manifest

    def predict(self, image: Image.Image) -> ModelPrediction:
        """Predict one image.

        Args:
            image: mode RGB, as `decode_image` gives it.

        Raises:
            ModelIntegrityError: the network gave no probability.
        """
        pixels = to_network_input(image, size_px=self._manifest.input_size_px)
        probability = float(self.probabilities(pixels[np.newaxis])[0])
        if not (math.isfinite(probability) and 0.0 <= probability <= 1.0):
            raise ModelIntegrityError(
                f"{self._manifest.identifier} gave {probability}, which is no probability: "
                "switch to another model."
            )
        threshold = self._manifest.threshold
        label: Label = "malignant" if probability >= threshold else "benign"
        return ModelPrediction(probability=probability, label=label, threshold=threshold)

    def probabilities(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the network on a batch of prepared inputs.

        Args:
            pixels: float32 (batch, size_px, size_px, 3), RGB, 0 to 1, as `to_network_input` gives them.

        Returns:
            float32 (batch,), probability of malignancy, 0 to 1.
        """
        (output,) = self._session.run(None, {self._input_name: pixels})
        return np.asarray(output, dtype=np.float32).reshape(len(pixels))


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
    path = folder / MODEL_FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelIntegrityError(
            f"{path} cannot be read ({error.strerror}): restore the released model from the repository."
        ) from error
    if hashlib.sha256(content).hexdigest() != manifest.sha256:
        raise ModelIntegrityError(
            f"{path} is not the file its manifest describes (sha256 differs): restore it from the repository."
        )
    return manifest, content
