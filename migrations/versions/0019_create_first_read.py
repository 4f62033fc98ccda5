"""Create the table first_read."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

UTC_TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "first_read",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("public_id", sa.Uuid(native_uuid=False), nullable=False),
        sa.Column("lesion_image_id", BIG_ID, nullable=False),
        sa.Column(
            "impression",
            sa.Enum(
                "benign",
                "malignant",
                "unsure",
                name="clinical_impression",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("note", sa.String(length=500), nullable=False),
        sa.Column("answer_was_shown", sa.Boolean(), nullable=False),
        sa.Column("read_at", UTC_TIME, nullable=False),
        sa.Column("read_by_id", BIG_ID, nullable=False),
        sa.ForeignKeyConstraint(
            ["lesion_image_id"], ["lesion_image.id"], name=op.f("fk_first_read_lesion_image_id_lesion_image")
        ),
        sa.ForeignKeyConstraint(["read_by_id"], ["user.id"], name=op.f("fk_first_read_read_by_id_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_first_read")),
        sa.UniqueConstraint(
            "lesion_image_id", "read_by_id", name=op.f("uq_first_read_lesion_image_id_read_by_id")
        ),
        sa.UniqueConstraint("public_id", name=op.f("uq_first_read_public_id")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
    )


def downgrade() -> None:
    op.drop_table("first_read")
