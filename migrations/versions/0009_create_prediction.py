"""Create the table prediction."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

UTC_TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "prediction",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("public_id", sa.Uuid(native_uuid=False), nullable=False),
        sa.Column("lesion_image_id", BIG_ID, nullable=False),
        sa.Column("model_version_id", BIG_ID, nullable=False),
        sa.Column("malignancy_probability", sa.Double(), nullable=False),
        sa.Column(
            "label",
            sa.Enum(
                "malignant",
                "benign",
                name="outcome_label",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("threshold", sa.Double(), nullable=False),
        sa.Column("operating_point", sa.String(length=120), nullable=False),
        sa.Column("preprocessing_version", sa.String(length=16), nullable=False),
        sa.Column("image_sha256", sa.String(length=64), nullable=False),
        sa.Column("latency_s", sa.Double(), nullable=False),
        sa.Column("created_at", UTC_TIME, nullable=False),
        sa.Column("created_by_id", BIG_ID, nullable=False),
        sa.CheckConstraint(
            "malignancy_probability >= 0 AND malignancy_probability <= 1",
            name=op.f("ck_prediction_malignancy_probability_in_range"),
        ),
        sa.CheckConstraint(
            "threshold >= 0 AND threshold <= 1", name=op.f("ck_prediction_threshold_in_range")
        ),
        sa.ForeignKeyConstraint(
            ["created_by_id"], ["user.id"], name=op.f("fk_prediction_created_by_id_user")
        ),
        sa.ForeignKeyConstraint(
            ["lesion_image_id"], ["lesion_image.id"], name=op.f("fk_prediction_lesion_image_id_lesion_image")
        ),
        sa.ForeignKeyConstraint(
            ["model_version_id"],
            ["model_version.id"],
            name=op.f("fk_prediction_model_version_id_model_version"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prediction")),
        sa.UniqueConstraint("public_id", name=op.f("uq_prediction_public_id")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
    )
    op.create_index(
        op.f("ix_prediction_lesion_image_id_id"), "prediction", ["lesion_image_id", "id"], unique=False
    )
    op.create_index(op.f("ix_prediction_model_version_id"), "prediction", ["model_version_id"], unique=False)


def downgrade() -> None:
    op.drop_table("prediction")
