"""The same picture twice: exact twins, near twins, and the groups that keep them on one side of a split."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.training.datasets import LabelledImage
from ml.training.fingerprints import Fingerprints

# Measured on the 19,339 images of the data folder: of the pairs within 6 bits and 1 level, 539 stand in one group
# of its manifest and 14 do not, which the eye sees to be twins, too; from 2 levels on, over 99.9% are strangers.
NEAR_BITS: Final = 6  # of 64 that may differ
NEAR_LEVELS: Final = 1.0  # mean absolute difference of the thumbnails, of 255
_ROWS_AT_ONCE: Final = 512


def exact_twins(fingerprints: Fingerprints) -> list[tuple[int, ...]]:
    """Indices of images whose decoded pixels are the same, one tuple a picture."""
    same: defaultdict[str, list[int]] = defaultdict(list)
    for index, digest in enumerate(fingerprints.digests):
        same[digest].append(index)
    return [tuple(members) for members in same.values() if len(members) > 1]


def near_twins(fingerprints: Fingerprints) -> list[tuple[int, int]]:
    """Pairs that look the same though their pixels differ: another size, compression or light.

    Every pair's hashes are compared, because one comparison is an XOR and a bit count: 19,339 images take
    seconds. Pairs within NEAR_BITS are looked at again, as thumbnails freed of brightness. Another crop, a
    rotation or a mirror image is not found.

    Returns:
        Pairs of indices, the lower first.
    """
    luminance = fingerprints.luminance
    hashes = difference_hashes(luminance)
    levels = luminance - luminance.mean(axis=(1, 2), keepdims=True)
    pairs: list[tuple[int, int]] = []
    for start in range(0, len(hashes), _ROWS_AT_ONCE):
        block = hashes[start : start + _ROWS_AT_ONCE, np.newaxis]
        rows, columns = np.nonzero(np.bitwise_count(block ^ hashes[np.newaxis, start:]) <= NEAR_BITS)
        rows, columns = rows[columns > rows] + start, columns[columns > rows] + start
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            if fingerprints.digests[row] == fingerprints.digests[column]:
                continue
            if float(np.abs(levels[row] - levels[column]).mean()) <= NEAR_LEVELS:
                pairs.append((row, column))
    return pairs


def difference_hashes(luminance: NDArray[np.float32]) -> NDArray[np.uint64]:
    """The 64-bit dHash: is each cell of an 8 x 9 grid darker than its right neighbour (Krawetz 2013).

    Args:
        luminance: float32 (images, 32, 32), 0-255.

    Returns:
        uint64 (images,).
    """
    grids = np.stack(
        [np.asarray(Image.fromarray(one).resize((9, 8), Image.Resampling.BOX)) for one in luminance]
    )
    bits = np.packbits((grids[:, :, 1:] > grids[:, :, :-1]).reshape(len(grids), 64), axis=1)
    return bits.view(np.uint64)[:, 0]


def join_groups(
    images: tuple[LabelledImage, ...], clusters: Iterable[tuple[int, ...]]
) -> tuple[LabelledImage, ...]:
    """Name every image's group: given groups that share a twin become one, as do ungrouped twins.

    Args:
        images: with or without a group.
        clusters: indices of images that are twins, two or more each.

    Returns:
        The same images with a group each; a joint group has the first of its members' names, one without any
        has its first path.
    """
    parents = list(range(len(images)))

    def root_of(index: int) -> int:
        while parents[index] != index:
            parents[index] = parents[parents[index]]
            index = parents[index]
        return index

    same: defaultdict[str, list[int]] = defaultdict(list)
    for index, image in enumerate(images):
        if image.group:
            same[image.group].append(index)
    for members in (*same.values(), *clusters):
        for other in members[1:]:
            parents[root_of(other)] = root_of(members[0])
    names: defaultdict[int, list[str]] = defaultdict(list)
    for index, image in enumerate(images):
        names[root_of(index)].append(image.group)
    paths: dict[int, str] = {}
    for index, image in enumerate(images):
        paths[root_of(index)] = min(image.path, paths.get(root_of(index), image.path))
    return tuple(
        replace(image, group=min(filter(None, names[root]), default=f"twins of {paths[root]}"))
        for image, root in ((image, root_of(index)) for index, image in enumerate(images))
    )
