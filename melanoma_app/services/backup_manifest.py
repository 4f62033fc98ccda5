"""What an archive says of itself: whose it is, what it holds, and the checksum of every member."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Final

from melanoma_app.errors import InvalidInputError
from melanoma_app.services.backup_database import DUMP_NAMES, LogPosition

FORMAT: Final = "skin-lesion clinic backup 1"


@dataclass(frozen=True, kw_only=True)
class Label:
    """What stands at the beginning of an archive, to know one's own by.

    Args:
        made_at: When, in ISO 8601.
        installation: The public id of the first clinic, which is drawn when a database is made.
        format: Which kind of archive.
    """

    made_at: str
    installation: str
    format: str = FORMAT


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What an archive holds.

    Args:
        made_at: When, in ISO 8601.
        engine: `sqlite` or `mysql`.
        schema_revision: Of the database.
        database_sha256: Of the dump.
        database_size_bytes: Of the dump.
        records: The number of rows by table.
        audit_heads: Where the audit chains ended just before the dump: CHAIN:NUMBER:HASH.
        log_position: Where the server's binary log stood at the dump, when that was asked for.
        images: How many files of photographs.
        images_size_bytes: All of them together.
        sums_sha256: Of the list with everybody's checksum.
        lost: Keys of files that are on record and were not in the store any more.
        damaged: Keys of files that were not what had been stored.
    """

    made_at: str
    engine: str
    schema_revision: str
    database_sha256: str
    database_size_bytes: int
    records: dict[str, int]
    audit_heads: list[str]
    log_position: LogPosition | None
    images: int
    images_size_bytes: int
    sums_sha256: str
    lost: list[str]
    damaged: list[str]

    @classmethod
    def read(cls, content: bytes) -> Manifest:
        """Take a manifest back in.

        Raises:
            InvalidInputError: It is none that this program wrote.
        """
        try:
            values = json.loads(content)
            if values["log_position"] is not None:
                values["log_position"] = LogPosition(**values["log_position"])
            manifest = cls(**values)
        except (ValueError, TypeError, KeyError) as error:
            raise InvalidInputError("The manifest of the archive cannot be read.") from error
        if manifest.engine not in DUMP_NAMES or not isinstance(manifest.records, dict):
            raise InvalidInputError("The manifest of the archive cannot be read.")
        return manifest


def to_json(values: Label | Manifest) -> bytes:
    """A label or manifest, as it stands in an archive."""
    return json.dumps(asdict(values), indent=1, sort_keys=True).encode()


@dataclass(frozen=True, kw_only=True)
class ArchiveFault:
    """A member that is not as it should be; the member is empty where the archive as a whole is meant."""

    member: str
    explanation: str


class Checksums:
    """Digests by member, in a file without a name: there are millions of members."""

    def __init__(self) -> None:
        self._table = sqlite3.connect("")  # SQLite's own temporary file, gone when it is closed
        self._table.execute("CREATE TABLE member (name TEXT PRIMARY KEY, found TEXT, listed TEXT)")

    def __contains__(self, name: str) -> bool:
        return (
            self._table.execute("SELECT 1 FROM member WHERE name = ? AND found > ''", (name,)).fetchone()
            is not None
        )

    def note_found(self, name: str, sha256: str) -> None:
        """What a member is."""
        self._table.execute(
            "INSERT INTO member (name, found) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET found = excluded.found",
            (name, sha256),
        )

    def note_listed(self, name: str, sha256: str) -> None:
        """What it should be."""
        self._table.execute(
            "INSERT INTO member (name, listed) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET listed = excluded.listed",
            (name, sha256),
        )

    def list_found(self) -> Iterator[tuple[str, str]]:
        """Every member in the order of the names."""
        yield from self._table.execute("SELECT name, found FROM member ORDER BY name")

    def compare(self) -> Iterator[ArchiveFault]:
        """Every member that is not what it should be."""
        rows = self._table.execute(
            "SELECT name, found, listed FROM member WHERE found IS NOT listed ORDER BY name"
        )
        for name, found, listed in rows:
            explanation = "it was changed"
            if found is None:
                explanation = "it is missing"
            elif listed is None:
                explanation = "it does not belong here"
            yield ArchiveFault(member=name, explanation=explanation)

    def close(self) -> None:
        """Forget everything."""
        self._table.close()
