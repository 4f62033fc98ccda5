"""Fill patient_search_key for the patients who are on record already.

The forms are those of `services/name_search.py` at this revision, spelt out here: a migration does not change when
the program does. The way back empties the table; an edit in the meantime is no loss, for the forms come from the name.
"""

import re

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

BATCH = 1000
"""Patients a statement: few enough for every database's limit, enough for a million patients in minutes."""
KEYED_LETTERS = 7
SHORTEST_NAME = 4
HYPHENS = re.compile("[-‐‑–]")
PATIENT = sa.table("patient", sa.column("id"), sa.column("clinic_id"), sa.column("search_name"))
KEY = sa.table("patient_search_key", sa.column("clinic_id"), sa.column("patient_id"), sa.column("key"))


def upgrade() -> None:
    connection = op.get_bind()
    last_id = 0
    while True:
        patients = connection.execute(
            sa.select(PATIENT).where(PATIENT.c.id > last_id).order_by(PATIENT.c.id).limit(BATCH)
        ).all()
        if not patients:
            return
        rows = [
            {"clinic_id": patient.clinic_id, "patient_id": patient.id, "key": key}
            for patient in patients
            for key in sorted(_forms(patient.search_name))
        ]
        # A patient who was registered since the table was made has forms already.
        connection.execute(
            sa.delete(KEY).where(KEY.c.patient_id > last_id, KEY.c.patient_id <= patients[-1].id)
        )
        if rows:
            connection.execute(sa.insert(KEY), rows)
        last_id = patients[-1].id


def downgrade() -> None:
    op.get_bind().execute(sa.delete(KEY))


def _forms(name: str) -> set[str]:
    """The first letters of every word of four letters or more, and these with each one left out."""
    words = {part for word in name.split() for part in (word, *HYPHENS.split(word))}
    starts = {word[:KEYED_LETTERS] for word in words if len(word) >= SHORTEST_NAME}
    return starts | {start[:at] + start[at + 1 :] for start in starts for at in range(len(start))}
