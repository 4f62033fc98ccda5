"""Mark lesions on the body map: side, view and place."""

import sqlalchemy as sa

from migrations.columns import NewColumn, add_columns, choice, drop_columns

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

COLUMNS = (
    choice("laterality", "lesion", "left", "right", "midline"),
    choice("body_view", "lesion", "front", "back"),
    NewColumn(name="body_x", type=sa.Double()),
    NewColumn(
        name="body_y",
        type=sa.Double(),
        check="(body_view IS NULL AND body_x IS NULL AND body_y IS NULL)"
        " OR (body_view IS NOT NULL AND body_x >= 0 AND body_x <= 1 AND body_y >= 0 AND body_y <= 1)",
        check_name="ck_lesion_on_the_body_map",
    ),
)


def upgrade() -> None:
    add_columns("lesion", *COLUMNS)


def downgrade() -> None:
    drop_columns("lesion", *COLUMNS)
