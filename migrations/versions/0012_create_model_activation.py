"""Create the table model_activation."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

UTC_TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "model_activation",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("model_version_id", BIG_ID, nullable=False),
        sa.Column("activated_at", UTC_TIME, nullable=False),
        sa.Column("activated_by_id", BIG_ID, nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.CheckConstraint("number >= 1", name=op.f("ck_model_activation_number_is_positive")),
        sa.ForeignKeyConstraint(
            ["activated_by_id"], ["user.id"], name=op.f("fk_model_activation_activated_by_id_user")
        ),
        sa.ForeignKeyConstraint(
            ["model_version_id"],
            ["model_version.id"],
            name=op.f("fk_model_activation_model_version_id_model_version"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_activation")),
        sa.UniqueConstraint("number", name=op.f("uq_model_activation_number")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
    )


def downgrade() -> None:
    op.drop_table("model_activation")
