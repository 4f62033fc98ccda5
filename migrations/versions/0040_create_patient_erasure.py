"""Create the table patient_erasure."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None

UTC_TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "patient_erasure",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("public_id", sa.Uuid(native_uuid=False), nullable=False),
        sa.Column("clinic_id", BIG_ID, nullable=False),
        sa.Column("patient_public_id", sa.Uuid(native_uuid=False), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("lesions", sa.Integer(), nullable=False),
        sa.Column("lesion_images", sa.Integer(), nullable=False),
        sa.Column("erased_by_id", BIG_ID, nullable=False),
        sa.Column("erased_at", UTC_TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["clinic_id"], ["clinic.id"], name=op.f("fk_patient_erasure_clinic_id_clinic")
        ),
        sa.ForeignKeyConstraint(
            ["erased_by_id"], ["user.id"], name=op.f("fk_patient_erasure_erased_by_id_user")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_patient_erasure")),
        sa.UniqueConstraint("patient_public_id", name=op.f("uq_patient_erasure_patient_public_id")),
        sa.UniqueConstraint("public_id", name=op.f("uq_patient_erasure_public_id")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
    )
    op.create_index(op.f("ix_patient_erasure_clinic_id"), "patient_erasure", ["clinic_id"], unique=False)


def downgrade() -> None:
    op.drop_table("patient_erasure")
