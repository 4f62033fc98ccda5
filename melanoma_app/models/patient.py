"""The patient."""

from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from melanoma_app.models.base import Base, PrimaryKey, PublicId, UtcDateTime, stored_enum, utc_now
from melanoma_app.models.clinic import Clinic
from melanoma_app.models.vocabulary import BirthDatePrecision, FitzpatrickSkinType, Gender


class Patient(Base):
    """A person under the clinic's care.

    The MRN is private to the clinic; URLs and exports use the public id. A consent or a risk that nobody has
    asked about is None, which is not the same as "no". `version` counts edits, so that the second of two
    people editing at once is told. Who was registered twice is merged into the
    other record (`PatientMerge`) and stands in no list from then on.
    """

    __tablename__ = "patient"
    __table_args__ = (
        UniqueConstraint("clinic_id", "mrn"),
        Index(None, "clinic_id", "created_at", "id"),
        Index(None, "clinic_id", "search_name"),
        Index(None, "clinic_id", "birth_date"),
        CheckConstraint("birth_date >= '1850-01-01'", name="birth_date_plausible"),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[PublicId]
    clinic_id: Mapped[int] = mapped_column(ForeignKey("clinic.id"))
    mrn: Mapped[str] = mapped_column(String(32))
    family_name: Mapped[str] = mapped_column(String(100))
    given_name: Mapped[str] = mapped_column(String(100))
    search_name: Mapped[str] = mapped_column(String(255))
    birth_date: Mapped[date]
    birth_date_precision: Mapped[BirthDatePrecision] = mapped_column(
        stored_enum(BirthDatePrecision), default=BirthDatePrecision.EXACT
    )
    gender: Mapped[Gender] = mapped_column(stored_enum(Gender))
    fitzpatrick_skin_type: Mapped[FitzpatrickSkinType | None] = mapped_column(
        stored_enum(FitzpatrickSkinType)
    )
    personal_history_of_melanoma: Mapped[bool | None]
    family_history_of_melanoma: Mapped[bool | None]
    consent_to_care: Mapped[bool | None]
    consent_to_ai_analysis: Mapped[bool | None]
    consent_to_research: Mapped[bool | None]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now, onupdate=utc_now)
    version: Mapped[int] = mapped_column()

    clinic: Mapped[Clinic] = relationship(lazy="raise")

    __mapper_args__ = {"version_id_col": version}
