"""Open the first clinic, its audit chain, and the chain for what happens before anyone is known."""

import uuid
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

FIRST_HASH = "0" * 64

clinic = sa.table(
    "clinic",
    sa.column("id"),
    sa.column("public_id", sa.Uuid(native_uuid=False)),
    sa.column("name"),
    sa.column("time_zone"),
    sa.column("is_demo"),
    sa.column("created_at", sa.DateTime()),
)
audit_chain = sa.table(
    "audit_chain", sa.column("id"), sa.column("clinic_id"), sa.column("last_sequence"), sa.column("last_hash")
)


def upgrade() -> None:
    op.bulk_insert(
        clinic,
        [
            {
                "id": 1,
                "public_id": uuid.uuid4(),
                "name": "Clinic",
                "time_zone": "UTC",
                "is_demo": False,
                "created_at": datetime.now(UTC).replace(tzinfo=None),
            }
        ],
    )
    op.bulk_insert(
        audit_chain,
        [
            {"id": 1, "clinic_id": None, "last_sequence": 0, "last_hash": FIRST_HASH},
            {"id": 2, "clinic_id": 1, "last_sequence": 0, "last_hash": FIRST_HASH},
        ],
    )


def downgrade() -> None:
    op.execute(audit_chain.delete())
    op.execute(clinic.delete())
