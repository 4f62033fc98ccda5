"""Create the table open_task; `flask statistics rebuild` fills it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

UTC_TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "open_task",
        sa.Column("lesion_image_id", BIG_ID, autoincrement=False, nullable=False),
        sa.Column("clinic_id", BIG_ID, nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "unsigned",
                "histology",
                "monitoring",
                name="open_task_kind",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("patient_id", BIG_ID, nullable=False),
        sa.Column("review_id", BIG_ID, nullable=True),
        sa.Column("risk_order", sa.Double(), nullable=True),
        sa.Column(
            "outcome",
            sa.Enum(
                "malignant",
                "benign",
                name="outcome_label",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=True,
        ),
        sa.Column("since", UTC_TIME, nullable=False),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.CheckConstraint(
            "(kind = 'unsigned') = (review_id IS NULL)", name=op.f("ck_open_task_review_unless_unsigned")
        ),
        sa.CheckConstraint(
            "(kind = 'unsigned') = (risk_order IS NOT NULL)", name=op.f("ck_open_task_risk_when_unsigned")
        ),
        sa.CheckConstraint(
            "(kind = 'monitoring') = (due_on IS NOT NULL)", name=op.f("ck_open_task_due_when_monitored")
        ),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinic.id"], name=op.f("fk_open_task_clinic_id_clinic")),
        sa.ForeignKeyConstraint(
            ["lesion_image_id"], ["lesion_image.id"], name=op.f("fk_open_task_lesion_image_id_lesion_image")
        ),
        sa.ForeignKeyConstraint(["patient_id"], ["patient.id"], name=op.f("fk_open_task_patient_id_patient")),
        sa.ForeignKeyConstraint(["review_id"], ["review.id"], name=op.f("fk_open_task_review_id_review")),
        sa.PrimaryKeyConstraint("lesion_image_id", name=op.f("pk_open_task")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
    )
    op.create_index(
        op.f("ix_open_task_by_due_day"),
        "open_task",
        ["clinic_id", "kind", "due_on", "review_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_open_task_by_outcome"),
        "open_task",
        ["clinic_id", "kind", "outcome", "risk_order", "since", "lesion_image_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_open_task_by_risk"),
        "open_task",
        ["clinic_id", "kind", "risk_order", "since", "lesion_image_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_open_task_by_time"),
        "open_task",
        ["clinic_id", "kind", "since", "review_id"],
        unique=False,
    )
    op.create_index(op.f("ix_open_task_patient_id"), "open_task", ["patient_id"], unique=False)
    op.create_index(op.f("ix_open_task_review_id"), "open_task", ["review_id"], unique=False)


def downgrade() -> None:
    op.drop_table("open_task")
