"""A test as statistics count it: derived from the record, rebuildable at any time."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from melanoma_app.models.base import Base, BigId, UtcDateTime, stored_enum
from melanoma_app.models.lesion import LesionImage
from melanoma_app.models.prediction import Prediction
from melanoma_app.models.vocabulary import AnatomSiteGeneral, FitzpatrickSkinType, Gender, OutcomeLabel


class CountedTest(Base):
    """A photograph with its newest prediction, and everything that it is counted by.

    `counts_lesion` marks the test that stands for its lesion, `counts_patient` the one that stands for its patient. The
    same is marked among the tests with a signed review (`review_…`) and among those that a laboratory report
    followed (`histology_…`), whose conclusions stand beside them. `age_years` is the age on the day of the photograph.
    """

    __tablename__ = "counted_test"
    __table_args__ = (
        # In the order of the lists, and with all that counts and filters need, so that neither touches the rows.
        Index(
            "ix_counted_test_by_time",
            "clinic_id",
            "captured_at",
            "lesion_image_id",
            "captured_on",
            "outcome",
            "gender",
            "age_years",
            "anatom_site_general",
            "fitzpatrick_skin_type",
            "model_version_id",
            "review_conclusion",
            "histology_outcome",
            "counts_lesion",
            "counts_patient",
        ),
    )

    lesion_image_id: Mapped[int] = mapped_column(
        ForeignKey("lesion_image.id"), primary_key=True, autoincrement=False
    )
    clinic_id: Mapped[int] = mapped_column(ForeignKey("clinic.id"))
    patient_id: Mapped[int] = mapped_column(ForeignKey("patient.id"), index=True)
    lesion_id: Mapped[int] = mapped_column(ForeignKey("lesion.id"), index=True)
    prediction_id: Mapped[int] = mapped_column(ForeignKey("prediction.id"), index=True)
    model_version_id: Mapped[int] = mapped_column(BigId)
    captured_at: Mapped[datetime] = mapped_column(UtcDateTime)
    captured_on: Mapped[date]
    gender: Mapped[Gender] = mapped_column(stored_enum(Gender))
    age_years: Mapped[int]
    anatom_site_general: Mapped[AnatomSiteGeneral] = mapped_column(stored_enum(AnatomSiteGeneral))
    fitzpatrick_skin_type: Mapped[FitzpatrickSkinType | None] = mapped_column(
        stored_enum(FitzpatrickSkinType)
    )
    outcome: Mapped[OutcomeLabel] = mapped_column(stored_enum(OutcomeLabel))
    review_conclusion: Mapped[OutcomeLabel | None] = mapped_column(
        stored_enum(OutcomeLabel, name="review_conclusion")
    )
    histology_outcome: Mapped[OutcomeLabel | None] = mapped_column(
        stored_enum(OutcomeLabel, name="histology_outcome")
    )
    counts_lesion: Mapped[bool]
    counts_patient: Mapped[bool]
    review_counts_lesion: Mapped[bool]
    review_counts_patient: Mapped[bool]
    histology_counts_lesion: Mapped[bool]
    histology_counts_patient: Mapped[bool]

    lesion_image: Mapped[LesionImage] = relationship(lazy="raise")
    prediction: Mapped[Prediction] = relationship(lazy="raise")
