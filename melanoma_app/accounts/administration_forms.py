"""The forms of an administrator: the clinic's people, and its settings."""

from __future__ import annotations

from typing import Final

from wtforms import BooleanField, IntegerField, RadioField, SelectChoice, SelectField, StringField
from wtforms.validators import InputRequired, Length, NumberRange, Optional

from melanoma_app.accounts.account_forms import AccountForm
from melanoma_app.accounts.words import ROLE_WORDS
from melanoma_app.models import Clinic, User
from melanoma_app.models.vocabulary import Role
from melanoma_app.services.clinic_settings import (
    LONGEST_CLINIC_NAME,
    LONGEST_RETENTION_YEARS,
    SHORTEST_RETENTION_YEARS,
    list_time_zones,
)
from melanoma_app.services.users import LONGEST_DISPLAY_NAME

_RETENTION: Final = f"Enter {SHORTEST_RETENTION_YEARS} to {LONGEST_RETENTION_YEARS} years, or leave it empty."


class UserForm(AccountForm):
    """The shown name and the role of somebody who has an account."""

    display_name = StringField(
        "Name shown to others", validators=[Optional(), Length(max=LONGEST_DISPLAY_NAME)]
    )
    role = RadioField(
        "Role",
        choices=[SelectChoice(role.value, ROLE_WORDS[role]) for role in Role],
        validators=[InputRequired("Choose a role.")],
    )

    def fill(self, user: User) -> None:
        """Show what is on record."""
        self.display_name.data, self.role.data = user.display_name, user.role.value


class NewUserForm(UserForm):
    """Somebody who gets an account."""

    username = StringField("User name", validators=[InputRequired("Enter a user name."), Length(max=64)])


class ClinicForm(AccountForm):
    """The settings of the clinic."""

    name = StringField(
        "Name of the clinic",
        validators=[InputRequired("Enter the clinic's name."), Length(max=LONGEST_CLINIC_NAME)],
    )
    time_zone = SelectField("Time zone", validate_choice=False)
    requires_second_factor = BooleanField("Everybody must have a second factor")
    retention_years = IntegerField(
        "Years that a record is kept after its last entry",
        validators=[
            Optional(),
            NumberRange(SHORTEST_RETENTION_YEARS, LONGEST_RETENTION_YEARS, message=_RETENTION),
        ],
    )

    def __init__(self, *, clinic: Clinic) -> None:
        super().__init__()
        zones = list_time_zones()
        # A zone that this server no longer knows stays to be seen; saving it is refused.
        self.time_zone.choices = [*zones, *({clinic.time_zone} - set(zones))]

    def fill(self, clinic: Clinic) -> None:
        """Show what is on record."""
        self.name.data, self.time_zone.data = clinic.name, clinic.time_zone
        self.requires_second_factor.data = bool(clinic.requires_second_factor)
        self.retention_years.data = clinic.retention_years
