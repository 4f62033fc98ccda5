"""Create the table audit_event."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

UTC_TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "audit_event",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("chain_id", BIG_ID, nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("occurred_at", UTC_TIME, nullable=False),
        sa.Column(
            "action",
            sa.Enum(
                "sign_in",
                "sign_in_failed",
                "sign_out",
                "user_created",
                "token_created",
                "clinic_created",
                "patient_registered",
                "patient_edited",
                "patient_read",
                "patients_listed",
                "lesion_added",
                "image_added",
                "image_read",
                "prediction_read",
                "model_registered",
                name="audit_action",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("actor_name", sa.String(length=120), nullable=False),
        sa.Column("actor_public_id", sa.Uuid(native_uuid=False), nullable=True),
        sa.Column("subject_public_id", sa.Uuid(native_uuid=False), nullable=True),
        sa.Column("patient_public_id", sa.Uuid(native_uuid=False), nullable=True),
        sa.Column("origin", sa.String(length=64), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("previous_hash", sa.String(length=64), nullable=False),
        sa.Column("entry_hash", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["chain_id"], ["audit_chain.id"], name=op.f("fk_audit_event_chain_id_audit_chain")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_event")),
        sa.UniqueConstraint("chain_id", "sequence", name=op.f("uq_audit_event_chain_id_sequence")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
    )
    op.create_index(
        op.f("ix_audit_event_patient_public_id_occurred_at"),
        "audit_event",
        ["patient_public_id", "occurred_at"],
        unique=False,
    )


def downgrade() -> None:
    op.drop_table("audit_event")
