"""The dashboard's forms: its filters, read from the URL, and the switch to another model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Final

from flask_wtf import FlaskForm
from wtforms import DateField, HiddenField, IntegerField, SelectChoice, SelectField, TextAreaField
from wtforms.validators import InputRequired, Length, NumberRange, Optional

from melanoma_app.dashboard.chart_files import FILES
from melanoma_app.dashboard.words import DIMENSION_WORDS, UNIT_WORDS, UNKNOWN
from melanoma_app.errors import InvalidInputError
from melanoma_app.models.model_activation import REASON_LENGTH
from melanoma_app.models.vocabulary import (
    AnatomSiteGeneral,
    Dimension,
    FitzpatrickSkinType,
    Gender,
    OutcomeLabel,
    Period,
    StatisticsUnit,
)
from melanoma_app.services.count_groups import BAND_YEARS, WIDEST_BAND_YEARS
from melanoma_app.services.patients import OLDEST_AGE_YEARS
from melanoma_app.services.statistics_filter import StatisticsFilter

_ALL: Final = SelectChoice("", "All")


def _choices(values: Iterable[tuple[StrEnum | str, str]]) -> list[SelectChoice]:
    return [SelectChoice(str(value), words) for value, words in values]


def _named(vocabulary: type[StrEnum]) -> list[SelectChoice]:
    return _choices((member, member.value.capitalize()) for member in vocabulary)


class FilterForm(FlaskForm):
    """Which tests count; it changes nothing, so it stands in the URL and needs no token."""

    class Meta:
        csrf = False

    date_from = DateField("From", validators=[Optional()])
    date_to = DateField("To", validators=[Optional()])
    gender = SelectField("Gender", choices=[_ALL, *_named(Gender)], default="")
    age_min = IntegerField("Age from", validators=[Optional(), NumberRange(0, OLDEST_AGE_YEARS)])
    age_max = IntegerField("Age to", validators=[Optional(), NumberRange(0, OLDEST_AGE_YEARS)])
    site = SelectField("Body site", choices=[_ALL, *_named(AnatomSiteGeneral)], default="")
    skin_type = SelectField(
        "Skin type",
        choices=[
            _ALL,
            *_choices((one, one.value) for one in FitzpatrickSkinType),
            SelectChoice(UNKNOWN, "Unknown"),
        ],
        default="",
    )
    outcome = SelectField("Result", choices=[_ALL, *_named(OutcomeLabel)], default="")
    # Which models there are stands in the database: the services refuse the others.
    model = SelectField("Model", choices=[_ALL], default="", validate_choice=False)
    unit = SelectField(
        "Count",
        choices=_choices((unit, words.many.capitalize()) for unit, words in UNIT_WORDS.items()),
        default=StatisticsUnit.TEST.value,
    )

    def read(self, names: Iterable[str]) -> StatisticsFilter | None:
        """The filters, or None when one is wrong; what is wrong then stands beside its field.

        Args:
            names: What the address says something of. A filter that there is not would change nothing, so that the
                numbers were not those that were asked for: it is refused.
        """
        is_right = self.validate()
        for name in sorted(set(names) - set(self.data)):
            self.form_errors.append(f"There is no filter “{name[:40]}”. Take it out of the address.")
            is_right = False
        if not is_right:
            return None
        try:
            return self.chosen()
        except InvalidInputError as error:
            self.refuse(error)
            return None

    def chosen(self) -> StatisticsFilter:
        """The validated filters as the services take them.

        Raises:
            InvalidInputError: A range ends before it starts.
        """
        skin_type = self.skin_type.data
        return StatisticsFilter(
            date_from=self.date_from.data,
            date_to=self.date_to.data,
            gender=Gender(self.gender.data) if self.gender.data else None,
            age_min=self.age_min.data,
            age_max=self.age_max.data,
            site=AnatomSiteGeneral(self.site.data) if self.site.data else None,
            skin_type=UNKNOWN
            if skin_type == UNKNOWN
            else FitzpatrickSkinType(skin_type)
            if skin_type
            else None,
            outcome=OutcomeLabel(self.outcome.data) if self.outcome.data else None,
            model=self.model.data or None,
            unit=StatisticsUnit(self.unit.data),
        )

    def refuse(self, error: InvalidInputError) -> None:
        """Put what a service has refused beside its fields."""
        for name, messages in error.fields.items():
            if name in self:
                self[name].errors = [*self[name].errors, *messages]
            else:
                self.form_errors.extend(messages)

    @property
    def refusals(self) -> dict[str, list[str]]:
        """What is wrong, by field; what belongs to none stands under `filters`."""
        return {name or "filters": [str(one) for one in messages] for name, messages in self.errors.items()}

    def offer_models(self, names: Iterable[str]) -> None:
        """Let the person choose among these, and keep what the address says."""
        known = sorted({*names, self.model.data or ""} - {""})
        self.model.choices = [_ALL, *_choices((name, name) for name in known)]


class ExaminationsForm(FilterForm):
    """Which tests the list shows: also by what was concluded of them."""

    review = SelectField("Signed review", choices=[_ALL, *_named(OutcomeLabel)], default="")
    histology = SelectField("Histology", choices=[_ALL, *_named(OutcomeLabel)], default="")

    def chosen(self) -> StatisticsFilter:
        """The validated filters as the services take them.

        Raises:
            InvalidInputError: A range ends before it starts.
        """
        return replace(
            super().chosen(),
            review=OutcomeLabel(self.review.data) if self.review.data else None,
            histology=OutcomeLabel(self.histology.data) if self.histology.data else None,
        )


class ChartsForm(FilterForm):
    """Which tests the charts count, and how finely."""

    period = SelectField("Steps over time", choices=_named(Period), default=Period.MONTH.value)
    band_years = IntegerField(
        "Age bands, years",
        validators=[Optional(), NumberRange(1, WIDEST_BAND_YEARS)],
        default=BAND_YEARS,
    )

    @property
    def steps(self) -> Period:
        """How long a step over time is."""
        return Period(self.period.data)

    @property
    def band(self) -> int:
        """How wide a band of ages is."""
        return self.band_years.data or BAND_YEARS


class CrosstabForm(ChartsForm):
    """By which two properties a table counts."""

    rows = SelectField(
        "Rows",
        choices=_choices((one, DIMENSION_WORDS[one]) for one in Dimension),
        default=Dimension.AGE.value,
    )
    columns = SelectField(
        "Columns",
        choices=_choices((one, DIMENSION_WORDS[one]) for one in Dimension),
        default=Dimension.GENDER.value,
    )
    # Months would be columns by the hundred.
    period = SelectField("Steps over time", choices=_named(Period), default=Period.YEAR.value)

    @property
    def row_dimension(self) -> Dimension:
        """What the rows are."""
        return Dimension(self.rows.data)

    @property
    def column_dimension(self) -> Dimension:
        """What the columns are."""
        return Dimension(self.columns.data)


class FileForm(CrosstabForm):
    """Which chart's numbers a file holds."""

    chart = SelectField(
        "Chart",
        choices=_choices((name, name) for name in FILES),
        validators=[InputRequired("Say which chart.")],
    )


def chosen_outcome(values: Mapping[str, str]) -> OutcomeLabel | None:
    """The worklist's one filter, from the URL; None for all, or for a result that there is not."""
    try:
        return OutcomeLabel(values.get("outcome", ""))
    except ValueError:
        return None


class ActivationForm(FlaskForm):
    """Why another model is to score new photographs, and which one did when the form was opened."""

    replaces = HiddenField()
    reason = TextAreaField(
        "Reason",
        validators=[
            InputRequired("Say why the model is switched; it is kept with the switch."),
            Length(max=REASON_LENGTH, message=f"Shorten the reason to {REASON_LENGTH} characters."),
        ],
    )
