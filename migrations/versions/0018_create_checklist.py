"""Create the table checklist."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

UTC_TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
ABCDE = ("asymmetry", "border_irregularity", "colour_variegation", "diameter_over_6_mm", "evolution")
SEVEN_POINTS = (
    "atypical_pigment_network",
    "blue_whitish_veil",
    "atypical_vascular_pattern",
    "irregular_streaks",
    "irregular_dots_globules",
    "irregular_blotches",
    "regression_structures",
)


def all_or_none(names: tuple[str, ...]) -> str:
    """The condition that every one of the columns is empty, or none."""
    empty = " AND ".join(f"{name} IS NULL" for name in names)
    return f"({empty}) OR ({empty.replace('IS NULL', 'IS NOT NULL')})"


def upgrade() -> None:
    op.create_table(
        "checklist",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("public_id", sa.Uuid(native_uuid=False), nullable=False),
        sa.Column("lesion_image_id", BIG_ID, nullable=False),
        sa.Column("asymmetry", sa.Boolean(), nullable=True),
        sa.Column("border_irregularity", sa.Boolean(), nullable=True),
        sa.Column("colour_variegation", sa.Boolean(), nullable=True),
        sa.Column("diameter_over_6_mm", sa.Boolean(), nullable=True),
        sa.Column("evolution", sa.Boolean(), nullable=True),
        sa.Column("atypical_pigment_network", sa.Boolean(), nullable=True),
        sa.Column("blue_whitish_veil", sa.Boolean(), nullable=True),
        sa.Column("atypical_vascular_pattern", sa.Boolean(), nullable=True),
        sa.Column("irregular_streaks", sa.Boolean(), nullable=True),
        sa.Column("irregular_dots_globules", sa.Boolean(), nullable=True),
        sa.Column("irregular_blotches", sa.Boolean(), nullable=True),
        sa.Column("regression_structures", sa.Boolean(), nullable=True),
        sa.Column("recorded_at", UTC_TIME, nullable=False),
        sa.Column("recorded_by_id", BIG_ID, nullable=False),
        sa.CheckConstraint(
            all_or_none(ABCDE),
            name=op.f("ck_checklist_abcde_complete"),
        ),
        sa.CheckConstraint(
            all_or_none(SEVEN_POINTS),
            name=op.f("ck_checklist_seven_point_complete"),
        ),
        sa.ForeignKeyConstraint(
            ["lesion_image_id"], ["lesion_image.id"], name=op.f("fk_checklist_lesion_image_id_lesion_image")
        ),
        sa.ForeignKeyConstraint(
            ["recorded_by_id"], ["user.id"], name=op.f("fk_checklist_recorded_by_id_user")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_checklist")),
        sa.UniqueConstraint("public_id", name=op.f("uq_checklist_public_id")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
    )
    op.create_index(
        op.f("ix_checklist_lesion_image_id_id"), "checklist", ["lesion_image_id", "id"], unique=False
    )


def downgrade() -> None:
    op.drop_table("checklist")
