"""Create the table patient."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

UTC_TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "patient",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("public_id", sa.Uuid(native_uuid=False), nullable=False),
        sa.Column("clinic_id", BIG_ID, nullable=False),
        sa.Column("mrn", sa.String(length=32), nullable=False),
        sa.Column("family_name", sa.String(length=100), nullable=False),
        sa.Column("given_name", sa.String(length=100), nullable=False),
        sa.Column("search_name", sa.String(length=255), nullable=False),
        sa.Column("birth_date", sa.Date(), nullable=False),
        sa.Column(
            "birth_date_precision",
            sa.Enum(
                "exact",
                "estimated",
                name="birth_date_precision",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
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
        sa.Column("personal_history_of_melanoma", sa.Boolean(), nullable=True),
        sa.Column("family_history_of_melanoma", sa.Boolean(), nullable=True),
        sa.Column("consent_to_care", sa.Boolean(), nullable=True),
        sa.Column("consent_to_ai_analysis", sa.Boolean(), nullable=True),
        sa.Column("consent_to_research", sa.Boolean(), nullable=True),
        sa.Column("created_at", UTC_TIME, nullable=False),
        sa.Column("updated_at", UTC_TIME, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("birth_date >= '1850-01-01'", name=op.f("ck_patient_birth_date_plausible")),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinic.id"], name=op.f("fk_patient_clinic_id_clinic")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_patient")),
        sa.UniqueConstraint("clinic_id", "mrn", name=op.f("uq_patient_clinic_id_mrn")),
        sa.UniqueConstraint("public_id", name=op.f("uq_patient_public_id")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
    )
    op.create_index(
        op.f("ix_patient_clinic_id_birth_date"), "patient", ["clinic_id", "birth_date"], unique=False
    )
    op.create_index(
        op.f("ix_patient_clinic_id_created_at_id"), "patient", ["clinic_id", "created_at", "id"], unique=False
    )
    op.create_index(
        op.f("ix_patient_clinic_id_search_name"), "patient", ["clinic_id", "search_name"], unique=False
    )


def downgrade() -> None:
    op.drop_table("patient")
