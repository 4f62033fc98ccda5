"""The rights that MySQL or MariaDB gives the app: everything it does, and nothing that could change the audit log."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from melanoma_app.errors import InvalidInputError
from melanoma_app.models import AuditChain, AuditEvent, Base

REVISION_TABLE: Final = "alembic_version"
_EVERYTHING: Final = "SELECT, INSERT, UPDATE, DELETE"
_LESS: Final[Mapping[str, str]] = {
    AuditEvent.__tablename__: "SELECT, INSERT",
    # The chain's end is moved with each entry, but never removed.
    AuditChain.__tablename__: "SELECT, INSERT, UPDATE",
    REVISION_TABLE: "SELECT",
}
_PLAIN_NAME: Final = re.compile(r"[0-9A-Za-z_$-]{1,64}")
_PLAIN_HOST: Final = re.compile(r"[0-9A-Za-z_.:%/-]{1,255}")


def list_application_grants(*, database: str, account: str) -> Iterator[str]:
    """One GRANT a table for the account the app runs as; no CREATE, ALTER or DROP, which TRUNCATE needs too.

    The account must have no other right in the database: a right on the whole database counts for each table of it.

    Args:
        database: Its name.
        account: NAME@HOST.

    Raises:
        InvalidInputError: A name has characters that would have to be quoted.
    """
    where, whom = _quote_database(database), _quote_account(account)
    for table in sorted((*Base.metadata.tables, REVISION_TABLE)):
        yield f"GRANT {_LESS.get(table, _EVERYTHING)} ON {where}.`{table}` TO {whom};"


def list_migration_grants(*, database: str, account: str) -> Iterator[str]:
    """The GRANT for the account that upgrades the database, and is used for nothing else.

    Raises:
        InvalidInputError: As for `list_application_grants`.
    """
    yield (
        f"GRANT {_EVERYTHING}, CREATE, ALTER, DROP, INDEX, REFERENCES "
        f"ON {_quote_database(database)}.* TO {_quote_account(account)};"
    )


def _quote_database(name: str) -> str:
    if not _PLAIN_NAME.fullmatch(name):
        raise InvalidInputError("Name the database with letters, digits, - and _ alone.")
    return f"`{name}`"


def _quote_account(account: str) -> str:
    name, _, host = account.rpartition("@")
    if not (_PLAIN_NAME.fullmatch(name) and _PLAIN_HOST.fullmatch(host)):
        raise InvalidInputError("Name the account as NAME@HOST, for example melanoma_app@10.0.0.5.")
    return f"'{name}'@'{host}'"
