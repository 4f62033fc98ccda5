"""What is kept of the models that have served here."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from melanoma_app.models import ModelVersion
from melanoma_app.services.model_versions import ensure_model_version
from ml.inference import ModelManifest
from tests.factories import ModelVersionFactory
from tests.records import Records
from tests.released import SERVED

pytestmark = pytest.mark.usefixtures("context")
MANIFEST = ModelManifest.read(SERVED)
IDENTITY = {"name": MANIFEST.name, "version": MANIFEST.version, "sha256": MANIFEST.sha256}


def test_band_and_performance_are_kept_when_a_model_is_first_seen(records: Records) -> None:
    ensure_model_version(manifest=MANIFEST)

    assert_says_what_the_manifest_says(records.one(ModelVersion))


def test_band_and_performance_are_filled_in_when_an_older_program_kept_none(records: Records) -> None:
    ModelVersionFactory(**IDENTITY)

    ensure_model_version(manifest=MANIFEST)

    assert_says_what_the_manifest_says(records.one(ModelVersion))


def test_band_stays_when_it_is_recorded_already(records: Records) -> None:
    ModelVersionFactory(**IDENTITY, uncertain_from=0.1, uncertain_to=0.2, test_performance={"set": "earlier"})

    ensure_model_version(manifest=MANIFEST)

    kept = records.one(ModelVersion)
    assert (kept.uncertain_from, kept.uncertain_to) == (0.1, 0.2)
    assert kept.test_performance == {"set": "earlier"}


def assert_says_what_the_manifest_says(kept: ModelVersion) -> None:
    assert MANIFEST.uncertain_band is not None
    assert MANIFEST.test_performance is not None
    assert (kept.uncertain_from, kept.uncertain_to) == (
        MANIFEST.uncertain_band.low,
        MANIFEST.uncertain_band.high,
    )
    assert kept.test_performance == asdict(MANIFEST.test_performance)
