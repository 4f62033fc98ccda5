"""Create the table staged_photograph."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0048"
down_revision = "0047"
branch_labels = None
depends_on = None

UTC_TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "staged_photograph",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("job_id", BIG_ID, nullable=False),
        sa.Column("job_item_id", BIG_ID, nullable=False),
        sa.Column("patient_id", BIG_ID, nullable=False),
        sa.Column("name_digest", sa.String(length=64), nullable=False),
        sa.Column("cells", sa.JSON(), nullable=False),
        sa.Column("storage_key", sa.String(length=160), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("size_bytes", sa.Integer(), nullable=True),
        sa.Column("changed_at", UTC_TIME, nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_staged_photograph_job_id_job")),
        sa.ForeignKeyConstraint(
            ["job_item_id"], ["job_item.id"], name=op.f("fk_staged_photograph_job_item_id_job_item")
        ),
        sa.ForeignKeyConstraint(
            ["patient_id"], ["patient.id"], name=op.f("fk_staged_photograph_patient_id_patient")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_staged_photograph")),
        sa.UniqueConstraint("job_item_id", name=op.f("uq_staged_photograph_job_item_id")),
        sa.UniqueConstraint("storage_key", name=op.f("uq_staged_photograph_storage_key")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
    )
    op.create_index(
        op.f("ix_staged_photograph_job_id_name_digest"),
        "staged_photograph",
        ["job_id", "name_digest"],
        unique=False,
    )
    op.create_index(
        op.f("ix_staged_photograph_patient_id"), "staged_photograph", ["patient_id"], unique=False
    )


def downgrade() -> None:
    op.drop_table("staged_photograph")
