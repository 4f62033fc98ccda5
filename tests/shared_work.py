"""What the tests do once instead of once an app; every test makes an app of its own, thousands in all."""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event, make_url
from werkzeug.routing import Rule

from melanoma_app.extensions import db
from melanoma_app.models.connection import engine_options

_engines: dict[tuple[str, str], Engine] = {}


@contextmanager
def work_shared() -> Iterator[None]:
    """Within it apps of one database share an engine, and the building of equal addresses is compiled once.

    An engine keeps what SQLAlchemy has compiled, and most of a test's statements are those of the test before it;
    Werkzeug compiles each rule of the URL map anew for every app.
    """
    compiled: dict[tuple[Any, ...], Callable[..., tuple[str, str]]] = {}
    compile_builder = Rule._compile_builder

    @functools.wraps(compile_builder)
    def compile_once(rule: Rule, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        key = (rule.rule, *rule._trace, repr(rule.defaults), *sorted(rule.arguments), append_unknown)
        if key not in compiled:
            compiled[key] = compile_builder(rule, append_unknown)
        return compiled[key]

    def make_engine(bind_key: str | None, options: dict[str, Any], app: object) -> Engine:
        url = make_url(options["url"]).render_as_string(hide_password=False)
        return shared_engine(url, whose="the app's")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rule, "_compile_builder", compile_once)
        patch.setattr(db, "_make_engine", make_engine)
        gc.freeze()  # what has been imported stays: there is no need to look through it again and again
        yield


def shared_engine(url: str, *, whose: str) -> Engine:
    """The engine of a database, made once; who has used it disposes of its connections.

    Args:
        url: Of the database.
        whose: What goes through it: each has connections of its own.
    """
    if (url, whose) not in _engines:
        engine = create_engine(url, **engine_options(url))
        event.listen(engine, "connect", _write_without_waiting)
        _engines[url, whose] = engine
    return _engines[url, whose]


def _write_without_waiting(dbapi_connection: Any, connection_record: object) -> None:
    """No test cuts the power: SQLite need not wait for the disk, as the tests' MariaDB does not."""
    if type(dbapi_connection).__module__ == "sqlite3":
        dbapi_connection.execute("PRAGMA synchronous = OFF")
