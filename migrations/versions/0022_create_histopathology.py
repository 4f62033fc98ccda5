"""Create the table histopathology."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

UTC_TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "histopathology",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("public_id", sa.Uuid(native_uuid=False), nullable=False),
        sa.Column("lesion_id", BIG_ID, nullable=False),
        sa.Column("diagnosis", sa.String(length=200), nullable=False),
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
        sa.Column("breslow_thickness_mm", sa.Double(), nullable=True),
        sa.Column("reported_on", sa.Date(), nullable=False),
        sa.Column("recorded_at", UTC_TIME, nullable=False),
        sa.Column("recorded_by_id", BIG_ID, nullable=False),
        sa.CheckConstraint(
            "breslow_thickness_mm > 0 AND breslow_thickness_mm <= 100 AND outcome = 'malignant'"
            " OR breslow_thickness_mm IS NULL",
            name=op.f("ck_histopathology_breslow_thickness_plausible"),
        ),
        sa.ForeignKeyConstraint(
            ["lesion_id"], ["lesion.id"], name=op.f("fk_histopathology_lesion_id_lesion")
        ),
        sa.ForeignKeyConstraint(
            ["recorded_by_id"], ["user.id"], name=op.f("fk_histopathology_recorded_by_id_user")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_histopathology")),
        sa.UniqueConstraint("public_id", name=op.f("uq_histopathology_public_id")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
    )
    op.create_index(
        op.f("ix_histopathology_lesion_id_id"), "histopathology", ["lesion_id", "id"], unique=False
    )


def downgrade() -> None:
    op.drop_table("histopathology")
