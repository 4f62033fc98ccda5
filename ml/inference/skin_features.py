"""How far a network's features of a picture lie from those of skin."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.inference.manifest import ModelIntegrityError


@dataclass(frozen=True, eq=False)
class SkinFeatures:
    """Where the features of skin lie: near a flat of few dimensions through their mean.

    The distance is the feature reconstruction error (Ndiour et al. 2020, arXiv:2012.04250): what is left of a
    picture's features after projecting them on that flat. Features are made comparable by dividing by their sum
    and taking the root (Arandjelovic and Zisserman 2012, doi 10.1109/CVPR.2012.6248018); without that, the few
    strongest channels decide, and plain surfaces pass for skin.

    Attributes:
        mean: float32 (channels,), of the rooted features of skin.
        directions: float32 (dimensions, channels), orthonormal rows: the flat.
    """

    mean: NDArray[np.float32]
    directions: NDArray[np.float32]

    def distances(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Distance of each picture from skin.

        Args:
            features: float32 (images, channels), spatial means of a network's last feature maps, 0 or more.

        Returns:
            float32 (images,), 0 to about 1.4.

        Raises:
            ModelIntegrityError: another number of channels, or values that are no finite numbers.
        """
        if features.ndim != 2 or features.shape[1] != len(self.mean):
            raise ModelIntegrityError(
                f"The quality gate was fitted to {len(self.mean)} features an image and was given an array of "
                f"shape {features.shape}: restore the model and its gate from the same release."
            )
        if not np.isfinite(features).all():
            raise ModelIntegrityError(
                "The network's features are no finite numbers: switch to another model."
            )
        away = rooted(features) - self.mean
        left = away - (away @ self.directions.T) @ self.directions
        distances: NDArray[np.float32] = np.linalg.norm(left, axis=1).astype(np.float32)
        return distances


def rooted(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Root of each channel's share in the sum; rows of length 1.

    Args:
        features: float32 (images, channels); what is below 0 counts as 0.
    """
    positive = np.maximum(features, np.float32(0))
    largest = np.maximum(positive.max(axis=1, keepdims=True, initial=0), np.finfo(np.float32).tiny)
    positive = positive / largest  # a sum of huge values would overflow
    total = np.maximum(positive.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    roots: NDArray[np.float32] = np.sqrt(positive / total)
    return roots
