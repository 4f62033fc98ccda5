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
from ml.jpeg_structure import (
    JPEG_START,
    BrokenJpegError,
    UnusualJpegError,
    is_whole_jpeg,
    read_jpeg_structure,
)
from ml.png_structure import PNG_START, is_whole_png
from ml.preprocessing import PREPROCESSING_VERSION, UnreadableImageError, decode_image

__all__ = [
    "JPEG_START",
    "PNG_START",
    "PREPROCESSING_VERSION",
    "RELEASED_FOLDER",
    "BrokenJpegError",
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
    "UnusualJpegError",
    "check_released_model",
    "decode_image",
    "find_released_model",
    "is_whole_jpeg",
    "is_whole_png",
    "list_released_models",
    "overlay_heat_map",
    "read_jpeg_structure",
]
