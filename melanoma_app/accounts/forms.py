"""The forms of the accounts pages."""

from flask_wtf import FlaskForm
from wtforms import PasswordField, StringField
from wtforms.validators import InputRequired, Length

from melanoma_app.services.accounts import MAXIMUM_PASSWORD_LENGTH


class SignInForm(FlaskForm):
    """Name and password."""

    username = StringField("User name", validators=[InputRequired("Enter your user name."), Length(max=64)])
    password = PasswordField(
        "Password", validators=[InputRequired("Enter your password."), Length(max=MAXIMUM_PASSWORD_LENGTH)]
    )
