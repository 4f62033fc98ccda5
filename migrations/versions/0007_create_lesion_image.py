"""Create the table lesion_image."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

UTC_TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "lesion_image",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("public_id", sa.Uuid(native_uuid=False), nullable=False),
        sa.Column("lesion_id", BIG_ID, nullable=False),
        sa.Column("storage_key", sa.String(length=160), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("upload_sha256", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("width_px", sa.Integer(), nullable=False),
        sa.Column("height_px", sa.Integer(), nullable=False),
        sa.Column(
            "image_type",
            sa.Enum(
                "dermoscopic",
                "clinical: close-up",
                "clinical: overview",
                name="image_type",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("captured_at", UTC_TIME, nullable=False),
        sa.Column("captured_on", sa.Date(), nullable=False),
        sa.Column("created_at", UTC_TIME, nullable=False),
        sa.Column("created_by_id", BIG_ID, nullable=False),
        sa.CheckConstraint(
            "width_px > 0 AND height_px > 0 AND size_bytes > 0", name=op.f("ck_lesion_image_has_pixels")
        ),
        sa.ForeignKeyConstraint(
            ["created_by_id"], ["user.id"], name=op.f("fk_lesion_image_created_by_id_user")
        ),
        sa.ForeignKeyConstraint(["lesion_id"], ["lesion.id"], name=op.f("fk_lesion_image_lesion_id_lesion")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lesion_image")),
        sa.UniqueConstraint("public_id", name=op.f("uq_lesion_image_public_id")),
        sa.UniqueConstraint("storage_key", name=op.f("uq_lesion_image_storage_key")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
    )
    op.create_index(
        op.f("ix_lesion_image_captured_at_id"), "lesion_image", ["captured_at", "id"], unique=False
    )
    op.create_index(op.f("ix_lesion_image_captured_on"), "lesion_image", ["captured_on"], unique=False)
    op.create_index(op.f("ix_lesion_image_lesion_id"), "lesion_image", ["lesion_id"], unique=False)


def downgrade() -> None:
    op.drop_table("lesion_image")
