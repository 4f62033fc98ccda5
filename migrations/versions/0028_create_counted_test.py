"""Create the table counted_test; `flask statistics rebuild` fills it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

UTC_TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "counted_test",
        sa.Column("lesion_image_id", BIG_ID, autoincrement=False, nullable=False),
        sa.Column("clinic_id", BIG_ID, nullable=False),
        sa.Column("patient_id", BIG_ID, nullable=False),
        sa.Column("lesion_id", BIG_ID, nullable=False),
        sa.Column("prediction_id", BIG_ID, nullable=False),
        sa.Column("model_version_id", BIG_ID, nullable=False),
        sa.Column("captured_at", UTC_TIME, nullable=False),
        sa.Column("captured_on", sa.Date(), nullable=False),
        sa.Column(
            "gender",
            sa.Enum(
                "female",
                "male",
                "other",
                "unknown",
                name="gender",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("age_years", sa.Integer(), nullable=False),
        sa.Column(
            "anatom_site_general",
            sa.Enum(
                "head/neck",
                "upper extremity",
                "lower extremity",
                "anterior torso",
                "lateral torso",
                "posterior torso",
                "palms/soles",
                "oral/genital",
                name="anatom_site_general",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column(
            "fitzpatrick_skin_type",
            sa.Enum(
                "I",
                "II",
                "III",
                "IV",
                "V",
                "VI",
                name="fitzpatrick_skin_type",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=True,
        ),
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
            nullable=False,
        ),
        sa.Column(
            "review_conclusion",
            sa.Enum(
                "malignant",
                "benign",
                name="review_conclusion",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=True,
        ),
        sa.Column(
            "histology_outcome",
            sa.Enum(
                "malignant",
                "benign",
                name="histology_outcome",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=True,
        ),
        sa.Column("counts_lesion", sa.Boolean(), nullable=False),
        sa.Column("counts_patient", sa.Boolean(), nullable=False),
        sa.Column("review_counts_lesion", sa.Boolean(), nullable=False),
        sa.Column("review_counts_patient", sa.Boolean(), nullable=False),
        sa.Column("histology_counts_lesion", sa.Boolean(), nullable=False),
        sa.Column("histology_counts_patient", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinic.id"], name=op.f("fk_counted_test_clinic_id_clinic")),
        sa.ForeignKeyConstraint(["lesion_id"], ["lesion.id"], name=op.f("fk_counted_test_lesion_id_lesion")),
        sa.ForeignKeyConstraint(
            ["lesion_image_id"],
            ["lesion_image.id"],
            name=op.f("fk_counted_test_lesion_image_id_lesion_image"),
        ),
        sa.ForeignKeyConstraint(
            ["patient_id"], ["patient.id"], name=op.f("fk_counted_test_patient_id_patient")
        ),
        sa.ForeignKeyConstraint(
            ["prediction_id"], ["prediction.id"], name=op.f("fk_counted_test_prediction_id_prediction")
        ),
        sa.PrimaryKeyConstraint("lesion_image_id", name=op.f("pk_counted_test")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
    )
    op.create_index(
        op.f("ix_counted_test_by_time"),
        "counted_test",
        [
            "clinic_id",
            "captured_at",
            "lesion_image_id",
            "captured_on",
            "outcome",
            "gender",
            "age_years",
            "anatom_site_general",
            "fitzpatrick_skin_type",
            "model_version_id",
            "review_conclusion",
            "histology_outcome",
            "counts_lesion",
            "counts_patient",
        ],
        unique=False,
    )
    op.create_index(op.f("ix_counted_test_lesion_id"), "counted_test", ["lesion_id"], unique=False)
    op.create_index(op.f("ix_counted_test_patient_id"), "counted_test", ["patient_id"], unique=False)
    op.create_index(op.f("ix_counted_test_prediction_id"), "counted_test", ["prediction_id"], unique=False)


def downgrade() -> None:
    op.drop_table("counted_test")
