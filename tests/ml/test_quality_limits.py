"""Limits stop the stated share of the photographs they are fitted to."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ml.inference.quality import QualityIssue
from ml.inference.quality_measures import measure_photograph
from ml.preprocessing import decode_image
from ml.training.datasets import LabelledImage
from ml.training.errors import BenchError
from ml.training.quality_limits import (
    StoppedShares,
    draw_sample,
    fit_quality_gate,
    measure_photographs,
)
from tests.ml.spoilt_photographs import blurred, issues_of, photograph, skin_features


def test_stated_shares_are_kept_when_limits_are_fitted() -> None:
    generator = np.random.default_rng(3)
    usual = measure_photograph(photograph())
    measures = [
        replace(
            usual,
            sharpness=float(generator.gamma(4, 0.03)),
            luminance=float(generator.uniform(0.05, 1)),
            reddish_share=float(generator.uniform(0, 1)),
        )
        for _ in range(1000)
    ]

    shares = StoppedShares(blurred=0.05, exposure=0.02, colour=0.03)
    fitted = fit_quality_gate(measures, skin_features(1000, seed=4), shares=shares, dimensions=4)

    assert fitted.images == 1000
    assert fitted.stopped_shares[QualityIssue.BLURRED] == pytest.approx(0.05, abs=0.002)
    assert fitted.stopped_shares[QualityIssue.TOO_DARK] == pytest.approx(0.02, abs=0.002)
    assert fitted.stopped_shares[QualityIssue.NOT_SKIN] == pytest.approx(0.03, abs=0.01)
    assert fitted.stopped_shares[QualityIssue.TOO_SMALL] == 0


def test_fitting_is_refused_when_there_are_too_few_images() -> None:
    with pytest.raises(BenchError, match="20 images are too few"):
        fit_quality_gate([measure_photograph(photograph())] * 20, None)


@pytest.mark.parametrize("features", [np.ones((99, 4)), np.ones(100), np.full((100, 4), np.nan)], ids=str)
def test_fitting_is_refused_when_features_are_not_those_of_the_images(features: NDArray[np.float32]) -> None:
    with pytest.raises(BenchError, match="features"):
        fit_quality_gate([measure_photograph(photograph())] * 100, features)


def test_sample_is_even_when_one_collection_is_large() -> None:
    def images(source: str, count: int) -> list[LabelledImage]:
        return [
            LabelledImage(f"{source}/{number}", source, "", "nv", False, False, f"{source}{number}")
            for number in range(count)
        ]

    collections = images("large", 500) + images("middle", 100) + images("small", 10)
    drawn = draw_sample(collections, count=90, seed=1)

    sources = [image.source for image in drawn]
    assert {source: sources.count(source) for source in set(sources)} == {
        "large": 40,
        "middle": 40,
        "small": 10,
    }
    assert len(set(drawn)) == 90
    assert drawn == draw_sample(collections[::-1], count=90, seed=1)
    assert draw_sample(collections, count=9000, seed=1) != tuple(collections)
    assert set(draw_sample(collections, count=9000, seed=1)) == set(collections)


def test_real_photographs_are_told_from_blurred_and_grey_ones(real_images: list[Path]) -> None:
    if not real_images:
        pytest.skip("no data folder: set MELANOMA_DATA to look at real images")
    images = [decode_image(path.read_bytes()) for path in real_images]
    # Few images, so each is seen several times: the limits are those of the weakest.
    fitted = fit_quality_gate(measure_photographs(images) * 5, None)

    assert all(fitted.assess(image).acceptable for image in images)
    soft = [fitted.assess(blurred(image.width / 60)(image)) for image in images]
    grey = [fitted.assess(image.convert("L").convert("RGB")) for image in images]
    assert np.mean([QualityIssue.BLURRED in issues_of(verdict) for verdict in soft]) > 0.9
    assert all(QualityIssue.NOT_SKIN in issues_of(verdict) for verdict in grey)
