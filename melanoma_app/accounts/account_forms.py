"""The forms of a person's own account."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Final

from flask_wtf import FlaskForm
from wtforms import PasswordField, SelectChoice, SelectField, SelectMultipleField, StringField
from wtforms.validators import InputRequired, Length
from wtforms.widgets import CheckboxInput, ListWidget

from melanoma_app.accounts.words import PERMISSION_WORDS
from melanoma_app.security.permissions import Permission
from melanoma_app.services.passwords import MAXIMUM_PASSWORD_LENGTH
from melanoma_app.services.tokens import LONGEST_NAME, TOKEN_LIFETIME

LIFETIMES_DAYS: Final = (7, 30, 90, 365)
_LONGEST_CODE: Final = 64


class AccountForm(FlaskForm):
    """A form whose fields take a service's messages."""

    def show_problems(self, problems: Mapping[str, Sequence[str]], message: str = "") -> None:
        """Put a service's messages beside the fields they belong to, else above the form.

        Args:
            problems: Messages by field.
            message: What the service says where no field is to blame.
        """
        for name, messages in problems.items():
            field = self._fields.get(name)
            if field is not None:
                field.errors = [*field.errors, *messages]
        if message and not any(name in self._fields for name in problems):
            self.form_errors.append(message)


class PasswordForm(AccountForm):
    """The password in use, and the next one twice."""

    current = PasswordField(
        "Password in use",
        validators=[
            InputRequired("Enter the password you sign in with now."),
            Length(max=MAXIMUM_PASSWORD_LENGTH),
        ],
    )
    password = PasswordField(
        "New password",
        validators=[InputRequired("Enter the new password."), Length(max=MAXIMUM_PASSWORD_LENGTH)],
    )
    again = PasswordField(
        "New password, again",
        validators=[
            InputRequired("Enter the new password a second time."),
            Length(max=MAXIMUM_PASSWORD_LENGTH),
        ],
    )

    def validate(self, *args: object, **values: object) -> bool:
        """The two new ones are the same."""
        is_valid = bool(super().validate(*args, **values))
        if is_valid and self.password.data != self.again.data:
            self.again.errors = ["This is not the same as the new password. Enter both again."]
            is_valid = False
        return is_valid


class CodeForm(AccountForm):
    """A code of the app that one sets up."""

    code = StringField(
        "Code",
        validators=[InputRequired("Enter the code your app shows now."), Length(max=_LONGEST_CODE)],
    )


class NewCodesForm(AccountForm):
    """A code, before new recovery codes are made."""

    code = StringField(
        "Code from your app, before new recovery codes are made",
        validators=[InputRequired("Enter the code your app shows now."), Length(max=_LONGEST_CODE)],
    )


class RemovalForm(AccountForm):
    """A code, before the second factor goes."""

    removal_code = StringField(
        "Code from your app, or a recovery code",
        validators=[
            InputRequired("Enter a code, so that nobody else can remove it."),
            Length(max=_LONGEST_CODE),
        ],
    )


class TokenForm(AccountForm):
    """What a token is for, what it may do, and for how long."""

    name = StringField(
        "What it is for", validators=[InputRequired("Say what the token is for."), Length(max=LONGEST_NAME)]
    )
    scopes = SelectMultipleField(
        "What it may do",
        validators=[InputRequired("Choose at least one.")],
        widget=ListWidget(prefix_label=False),
        option_widget=CheckboxInput(),
    )
    days = SelectField(
        "How long it is valid",
        choices=[SelectChoice(str(days), f"{days} days") for days in LIFETIMES_DAYS],
        default=str(TOKEN_LIFETIME.days),
    )

    def offer_scopes(self, permissions: Collection[Permission]) -> None:
        """Offer what the owner's role allows, in the order of the permissions."""
        self.scopes.choices = [
            SelectChoice(one.value, PERMISSION_WORDS[one]) for one in Permission if one in permissions
        ]

    @property
    def lifetime(self) -> timedelta:
        """How long the token is to be valid."""
        return timedelta(days=int(self.days.data))
