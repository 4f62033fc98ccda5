"""What the tests of the services share."""

from __future__ import annotations

import uuid

import pytest

from melanoma_app.models import Clinic
from tests.factories import LesionFactory


@pytest.fixture
def lesion_id(clinic: Clinic) -> uuid.UUID:
    """A lesion of a patient of the clinic."""
    return LesionFactory(patient__clinic=clinic).public_id
