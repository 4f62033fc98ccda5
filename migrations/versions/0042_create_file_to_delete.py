"""Create the table file_to_delete."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None

UTC_TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "file_to_delete",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("storage_key", sa.String(length=160), nullable=False),
        sa.Column("noted_at", UTC_TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_file_to_delete")),
        sa.UniqueConstraint("storage_key", name=op.f("uq_file_to_delete_storage_key")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
    )


def downgrade() -> None:
    op.drop_table("file_to_delete")
