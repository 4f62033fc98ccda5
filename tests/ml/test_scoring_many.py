"""A model made to score many pictures says of each what it says of it alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from melanoma_app.services.demo_images import draw_lesion
from ml.inference import Classifier, decode_image, find_released_model

LARGEST_DIFFERENCE = 1e-6


@pytest.mark.parametrize("name", ["custom_cnn", "mobilenet_v2"])
def test_answers_are_those_of_one_by_one_when_many_are_scored_at_once(name: str) -> None:
    folder = find_released_model(name)
    images = [decode_image(draw_lesion(seed=seed, irregularity=seed / 6)) for seed in range(7)]
    alone = [Classifier.load(folder).predict(image).probability for image in images]
    many = Classifier.load(folder, is_for_many=True)

    with ThreadPoolExecutor(3) as threads:
        together = [answer.probability for answer in threads.map(many.predict, images)]

    assert together == pytest.approx(alone, rel=0, abs=LARGEST_DIFFERENCE)
    assert many.manifest.views == 8
