"""Create the table review."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

UTC_TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "review",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("public_id", sa.Uuid(native_uuid=False), nullable=False),
        sa.Column("lesion_image_id", BIG_ID, nullable=False),
        sa.Column("prediction_id", BIG_ID, nullable=True),
        sa.Column(
            "conclusion",
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
        sa.Column("clinical_diagnosis", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.String(length=1000), nullable=False),
        sa.Column(
            "plan",
            sa.Enum(
                "reassure",
                "monitor",
                "refer",
                "biopsy",
                name="review_plan",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.Column("signed_at", UTC_TIME, nullable=False),
        sa.Column("signed_by_id", BIG_ID, nullable=False),
        sa.CheckConstraint(
            "(plan = 'monitor') = (due_on IS NOT NULL)", name=op.f("ck_review_due_when_monitored")
        ),
        sa.ForeignKeyConstraint(
            ["lesion_image_id"], ["lesion_image.id"], name=op.f("fk_review_lesion_image_id_lesion_image")
        ),
        sa.ForeignKeyConstraint(
            ["prediction_id"], ["prediction.id"], name=op.f("fk_review_prediction_id_prediction")
        ),
        sa.ForeignKeyConstraint(["signed_by_id"], ["user.id"], name=op.f("fk_review_signed_by_id_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_review")),
        sa.UniqueConstraint("lesion_image_id", name=op.f("uq_review_lesion_image_id")),
        sa.UniqueConstraint("public_id", name=op.f("uq_review_public_id")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
    )
    op.create_index(op.f("ix_review_plan_due_on"), "review", ["plan", "due_on"], unique=False)
    op.create_index(op.f("ix_review_prediction_id"), "review", ["prediction_id"], unique=False)


def downgrade() -> None:
    op.drop_table("review")
