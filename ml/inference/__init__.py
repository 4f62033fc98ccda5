"""What the web app may import: decode an image, load a released model, predict. Never TensorFlow."""

from ml.inference.classifier import Classifier, Label, ModelPrediction, check_released_model
from ml.inference.explain import HeatMapMethod, overlay_heat_map
from ml.inference.manifest import (
    DataNotice,
    MeasuredPerformance,
    MeasuredShare,
    ModelIntegrityError,
    ModelManifest,
    OperatingPoint,
    UncertainBand,
)
from ml.inference.quality import QualityFinding, QualityIssue, QualityVerdict
from ml.inference.released import RELEASED_FOLDER, find_released_model, list_released_models
from ml.preprocessing import PREPROCESSING_VERSION, UnreadableImageError, decode_image

__all__ = [
    "PREPROCESSING_VERSION",
    "RELEASED_FOLDER",
    "Classifier",
    "DataNotice",
    "HeatMapMethod",
    "Label",
    "MeasuredPerformance",
    "MeasuredShare",
    "ModelIntegrityError",
    "ModelManifest",
    "ModelPrediction",
    "OperatingPoint",
    "QualityFinding",
    "QualityIssue",
    "QualityVerdict",
    "UncertainBand",
    "UnreadableImageError",
    "check_released_model",
    "decode_image",
    "find_released_model",
    "list_released_models",
    "overlay_heat_map",
]
