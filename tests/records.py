"""What is on record, seen from outside the app: rows in short transactions of their own, and stored files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from flask import has_app_context
from sqlalchemy import ColumnElement, Engine, func, select, text, update
from sqlalchemy.orm import Session

from melanoma_app.extensions import db
from melanoma_app.models import Base

Model = TypeVar("Model", bound=Base)


class Records:
    """Rows and files; no transaction stays open, so that the app is never kept waiting.

    Args:
        engine: A way into the app's database.
        image_folder: Where the app keeps its images.
    """

    def __init__(self, *, engine: Engine, image_folder: Path) -> None:
        self.engine = engine
        self.image_folder = image_folder

    def all(self, model: type[Model], *where: ColumnElement[bool]) -> Sequence[Model]:
        end_app_transaction()
        with Session(self.engine) as session:
            return session.scalars(select(model).where(*where).order_by(model.id)).all()

    def one(self, model: type[Model], *where: ColumnElement[bool]) -> Model:
        end_app_transaction()
        with Session(self.engine) as session:
            return session.scalars(select(model).where(*where)).one()

    def count(self, model: type[Base], *where: ColumnElement[bool]) -> int:
        end_app_transaction()
        with Session(self.engine) as session:
            return session.scalar(select(func.count()).select_from(model).where(*where)) or 0

    def execute(self, sql: str, **parameters: Any) -> None:
        """Run raw SQL behind the app's back."""
        end_app_transaction()
        with self.engine.begin() as connection:
            connection.execute(text(sql), parameters)

    def change(self, model: type[Base], *where: ColumnElement[bool], **values: Any) -> None:
        """Change columns behind the app's back, such as a time that a test cannot wait for."""
        end_app_transaction()
        with self.engine.begin() as connection:
            connection.execute(update(model).where(*where).values(**values))

    def stored(self, key: str) -> Path:
        """The file that the app keeps under a key."""
        return self.image_folder / key[:2] / key

    def files(self) -> list[Path]:
        """Every file in the image folder, half-written ones included."""
        return sorted(path for path in self.image_folder.rglob("*") if path.is_file())


def end_app_transaction() -> None:
    """End what a service called by the test has left open; a request would end it when it is answered."""
    if has_app_context():
        db.session.remove()
