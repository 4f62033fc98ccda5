"""Describe photographs: the small copy, the lesion's size, and what the quality gate found."""

import sqlalchemy as sa

from migrations.columns import NewColumn, add_columns, drop_columns

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

COLUMNS = (
    NewColumn(name="thumbnail_key", type=sa.String(length=160)),
    NewColumn(
        name="clin_size_long_diam_mm",
        type=sa.Double(),
        check="clin_size_long_diam_mm > 0 AND clin_size_long_diam_mm <= 500",
        check_name="ck_lesion_image_clin_size_plausible",
    ),
    NewColumn(name="quality", type=sa.JSON()),
    NewColumn(name="quality_override_reason", type=sa.String(length=500)),
)


def upgrade() -> None:
    add_columns("lesion_image", *COLUMNS)


def downgrade() -> None:
    drop_columns("lesion_image", *COLUMNS)
