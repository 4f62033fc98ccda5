"""Create the table outcome_count; `flask statistics rebuild` fills it."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "outcome_count",
        sa.Column("clinic_id", BIG_ID, autoincrement=False, nullable=False),
        sa.Column("slice", sa.String(length=40), nullable=False),
        sa.Column(
            "compared_with",
            sa.Enum(
                "nothing",
                "review: malignant",
                "review: benign",
                "histology: malignant",
                "histology: benign",
                name="compared_with",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("period_start", sa.Date(), nullable=False),
        sa.Column("gender", sa.String(length=32), nullable=False),
        sa.Column("age_years", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("anatom_site_general", sa.String(length=32), nullable=False),
        sa.Column("fitzpatrick_skin_type", sa.String(length=32), nullable=False),
        sa.Column("model_version_id", BIG_ID, autoincrement=False, nullable=False),
        sa.Column("positive_tests", sa.Integer(), nullable=False),
        sa.Column("negative_tests", sa.Integer(), nullable=False),
        sa.Column("positive_lesions", sa.Integer(), nullable=False),
        sa.Column("negative_lesions", sa.Integer(), nullable=False),
        sa.Column("positive_patients", sa.Integer(), nullable=False),
        sa.Column("negative_patients", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinic.id"], name=op.f("fk_outcome_count_clinic_id_clinic")),
        sa.PrimaryKeyConstraint(
            "clinic_id",
            "slice",
            "compared_with",
            "period_start",
            "gender",
            "age_years",
            "anatom_site_general",
            "fitzpatrick_skin_type",
            "model_version_id",
            name=op.f("pk_outcome_count"),
        ),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
    )


def downgrade() -> None:
    op.drop_table("outcome_count")
