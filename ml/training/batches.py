"""Batches of images, prepared in threads while the device computes."""

import math
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
from numpy.typing import NDArray

from ml.preprocessing import scale_pixels
from ml.training.augmentation import augment
from ml.training.config import TrainingConfig
from ml.training.datasets import LabelledImage
from ml.training.sampling import draw_epoch
from ml.training.tasks import targets_of


class PixelBatches(keras.utils.PyDataset):
    """Batches of scaled pixels and targets; drawn and augmented when a seed is given.

    What an image looks like depends on the seed and its number (its place in the epoch, where it may come more
    than once) alone, not on the order in which batches are asked for.
    """

    def __init__(
        self,
        pixels: NDArray[np.uint8],
        images: Sequence[LabelledImage],
        *,
        config: TrainingConfig,
        augment_seed: tuple[int, ...] | None = None,
    ) -> None:
        """Take uint8 (images, size, size, 3) with the records they belong to."""
        super().__init__()
        self._pixels, self._config, self._seed = pixels, config, augment_seed
        self._targets = targets_of(images, config)
        self._order = (
            np.arange(len(images))
            if augment_seed is None
            else draw_epoch(images, config, np.random.default_rng(augment_seed))
        )

    def __len__(self) -> int:
        """Batches an epoch."""
        return math.ceil(len(self._order) / self._config.batch_size)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """One batch: float32 (batch, size, size, 3), 0 to 1, and float32 (batch, outputs), 0 or 1."""
        first = index * self._config.batch_size
        chosen = self._order[first : first + self._config.batch_size]
        pixels = self._pixels[chosen]
        if self._seed is not None:
            repeated = self._config.balance != "none" or len(self._order) > len(self._pixels)
            keys = range(first, first + len(chosen)) if repeated else chosen.tolist()
            pixels = np.stack(
                [
                    augment(
                        one,
                        config=self._config.augmentation,
                        generator=np.random.default_rng((*self._seed, key)),
                    )
                    for one, key in zip(pixels, keys, strict=True)
                ]
            )
        return scale_pixels(pixels), self._targets[chosen]

    def prepared(self, workers: int) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32], float]]:
        """All batches in order, some ahead of the one that is asked for.

        Args:
            workers: threads that prepare them; what they give does not depend on it.

        Yields:
            A batch as `__getitem__` gives it, and the seconds that were waited for it.
        """
        with ThreadPoolExecutor(workers) as threads:
            ahead = deque(
                threads.submit(self.__getitem__, index) for index in range(min(2 * workers, len(self)))
            )
            for index in range(len(self)):
                started = time.monotonic()
                pixels, targets = ahead.popleft().result()
                waited_s = time.monotonic() - started
                if (following := index + 2 * workers) < len(self):
                    ahead.append(threads.submit(self.__getitem__, following))
                yield pixels, targets, waited_s
