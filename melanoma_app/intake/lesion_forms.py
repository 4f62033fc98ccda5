"""The form that says where a lesion is and what it looks like."""

from __future__ import annotations

from typing import Any

from flask_wtf import FlaskForm
from wtforms import FloatField, HiddenField, SelectChoice, SelectField, TextAreaField, ValidationError
from wtforms.validators import AnyOf, Length, Optional
from wtforms.widgets import HiddenInput

from melanoma_app.models import Lesion
from melanoma_app.models.vocabulary import AnatomSiteGeneral, BodyView, Laterality
from melanoma_app.services.body_map import BodyPlace
from melanoma_app.services.lesions import MAXIMUM_DESCRIPTION_LENGTH

_MARK_AGAIN = "The mark on the map did not arrive whole. Mark the lesion again, or clear the mark."


class LesionForm(FlaskForm):
    """A place on the body map (in hidden fields), or a site and a side chosen from lists, and a description."""

    body_view = HiddenField(
        "Place on the map",
        filters=[lambda value: value or ""],
        validators=[AnyOf(["", *(view.value for view in BodyView)], message=_MARK_AGAIN)],
    )
    body_x = FloatField("Place on the map", widget=HiddenInput(), validators=[Optional()])
    body_y = FloatField("Place on the map", widget=HiddenInput(), validators=[Optional()])
    anatom_site_general = SelectField(
        "Site",
        choices=[
            SelectChoice("", "Choose the site"),
            *(SelectChoice(site.value, site.value.capitalize()) for site in AnatomSiteGeneral),
        ],
    )
    laterality = SelectField(
        "Side",
        choices=[
            SelectChoice("", "Not recorded"),
            *(SelectChoice(side.value, side.value.capitalize()) for side in Laterality),
        ],
    )
    description = TextAreaField(
        "Where exactly, and what it looks like",
        validators=[Optional(), Length(max=MAXIMUM_DESCRIPTION_LENGTH)],
    )

    def validate_body_view(self, field: HiddenField) -> None:
        """A place is a view and two numbers, or nothing at all."""
        shares = (self.body_x, self.body_y)
        is_given = any((field.data, *(any(share.raw_data or ()) for share in shares)))
        is_whole = field.data and all(share.data is not None for share in shares)
        if is_given and not is_whole:
            raise ValidationError(_MARK_AGAIN)

    def details(self) -> dict[str, Any]:
        """The validated values as the service takes them."""
        site, side = self.anatom_site_general.data, self.laterality.data
        place = None
        if self.body_view.data:
            place = BodyPlace(view=BodyView(self.body_view.data), x=self.body_x.data, y=self.body_y.data)
        return {
            "place": place,
            "anatom_site_general": AnatomSiteGeneral(site) if site else None,
            "laterality": Laterality(side) if side else None,
            "description": self.description.data or "",
        }

    def fill(self, lesion: Lesion) -> None:
        """Show what is on record."""
        for name in ("body_view", "body_x", "body_y", "anatom_site_general", "laterality", "description"):
            self[name].data = getattr(lesion, name)
        self.body_view.data = lesion.body_view or ""
        self.laterality.data = lesion.laterality or ""

    def show_problems(self, problems: dict[str, list[str]]) -> None:
        """Put a service's messages beside the fields they belong to; those of a place beside the map."""
        for name, messages in problems.items():
            field = self.body_view if name == "place" else self[name]
            field.errors = [*field.errors, *messages]
