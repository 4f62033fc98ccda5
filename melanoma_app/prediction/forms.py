"""The forms of the prediction pages."""

from flask_wtf import FlaskForm
from flask_wtf.file import FileField, FileRequired
from wtforms import DateField, SelectChoice, SelectField
from wtforms.validators import Optional

from melanoma_app.models.vocabulary import ImageType


class ExaminationForm(FlaskForm):
    """A photograph of a lesion and how it was taken."""

    image = FileField("Photograph", validators=[FileRequired("Choose or take a photograph.")])
    image_type = SelectField(
        "How it was taken",
        choices=[SelectChoice(member.value, member.value.capitalize()) for member in ImageType],
        default=ImageType.DERMOSCOPIC.value,
    )
    captured_on = DateField("Taken on, if not today", validators=[Optional()])
