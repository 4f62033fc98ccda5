"""The forms of a bulk upload."""

from __future__ import annotations

from flask_wtf import FlaskForm
from flask_wtf.file import FileField, FileRequired, MultipleFileField
from wtforms import DateField
from wtforms.validators import Optional


class ManifestForm(FlaskForm):
    """The list of the photographs."""

    manifest = FileField("Manifest", validators=[FileRequired("Choose the manifest.")])
    captured_on = DateField("Taken on, where a row does not say", validators=[Optional()])


class PhotographsForm(FlaskForm):
    """Photographs of an upload."""

    photographs = MultipleFileField("Photographs", validators=[FileRequired("Choose photographs.")])
