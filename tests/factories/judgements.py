"""What people concluded: checklists, first reads, signed reviews, laboratory reports."""

from __future__ import annotations

import uuid

import factory

from melanoma_app.models import Addendum, Checklist, FirstRead, Histopathology, Review
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import ClinicalImpression, OutcomeLabel, ReviewPlan
from tests.factories.base import RecordFactory
from tests.factories.examinations import LesionFactory, LesionImageFactory, PredictionFactory
from tests.factories.people import UserFactory


class ChecklistFactory(RecordFactory[Checklist]):
    """Both checklists gone through, nothing found."""

    class Meta:
        model = Checklist

    public_id = factory.LazyFunction(uuid.uuid4)
    lesion_image = factory.SubFactory(LesionImageFactory)
    asymmetry = False
    border_irregularity = False
    colour_variegation = False
    diameter_over_6_mm = False
    evolution = False
    atypical_pigment_network = False
    blue_whitish_veil = False
    atypical_vascular_pattern = False
    irregular_streaks = False
    irregular_dots_globules = False
    irregular_blotches = False
    regression_structures = False
    recorded_by = factory.SelfAttribute("lesion_image.created_by")


class FirstReadFactory(RecordFactory[FirstRead]):
    """A blind impression."""

    class Meta:
        model = FirstRead

    public_id = factory.LazyFunction(uuid.uuid4)
    lesion_image = factory.SubFactory(LesionImageFactory)
    impression = ClinicalImpression.BENIGN
    answer_was_shown = False
    read_by = factory.SelfAttribute("lesion_image.created_by")


class ReviewFactory(RecordFactory[Review]):
    """A review that agrees with its prediction and reassures."""

    class Meta:
        model = Review

    public_id = factory.LazyFunction(uuid.uuid4)
    prediction = factory.SubFactory(PredictionFactory)
    lesion_image = factory.SelfAttribute("prediction.lesion_image")
    conclusion = OutcomeLabel.BENIGN
    plan = ReviewPlan.REASSURE
    signed_by = factory.SubFactory(
        UserFactory, clinic=factory.SelfAttribute("..lesion_image.lesion.patient.clinic")
    )


class AddendumFactory(RecordFactory[Addendum]):
    """Something added to a signed review."""

    class Meta:
        model = Addendum

    public_id = factory.LazyFunction(uuid.uuid4)
    review = factory.SubFactory(ReviewFactory)
    text = "The patient called: the lesion itches."
    written_by = factory.SelfAttribute("review.signed_by")


class HistopathologyFactory(RecordFactory[Histopathology]):
    """A benign laboratory report of today."""

    class Meta:
        model = Histopathology

    public_id = factory.LazyFunction(uuid.uuid4)
    lesion = factory.SubFactory(LesionFactory)
    diagnosis = "Compound naevus"
    outcome = OutcomeLabel.BENIGN
    reported_on = factory.LazyFunction(lambda: utc_now().date())
    recorded_by = factory.SubFactory(UserFactory, clinic=factory.SelfAttribute("..lesion.patient.clinic"))
