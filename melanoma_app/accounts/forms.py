"""The forms of the sign-in pages."""

from flask_wtf import FlaskForm
from wtforms import PasswordField, StringField
from wtforms.validators import EqualTo, InputRequired, Length

from melanoma_app.services.passwords import MAXIMUM_PASSWORD_LENGTH


class SignInForm(FlaskForm):
    """Name and password."""

    username = StringField("User name", validators=[InputRequired("Enter your user name."), Length(max=64)])
    password = PasswordField(
        "Password", validators=[InputRequired("Enter your password."), Length(max=MAXIMUM_PASSWORD_LENGTH)]
    )


class SecondStepForm(FlaskForm):
    """The code of the authenticator, or a recovery code."""

    code = StringField("Code", validators=[InputRequired("Enter the code."), Length(max=40)])


class SetPasswordForm(FlaskForm):
    """A new password, twice, since it cannot be seen."""

    password = PasswordField("New password", validators=[InputRequired("Enter a new password.")])
    again = PasswordField(
        "New password again",
        validators=[
            InputRequired("Enter the new password again."),
            EqualTo("password", message="This is not the same. Enter both again."),
        ],
    )
