"""Let a clinic ask for a second factor and say how long records are kept."""

import sqlalchemy as sa

from migrations.columns import NewColumn, add_columns, drop_columns

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None

COLUMNS = (
    NewColumn(name="requires_second_factor", type=sa.Boolean()),
    NewColumn(name="retention_years", type=sa.Integer()),
)


def upgrade() -> None:
    add_columns("clinic", *COLUMNS)


def downgrade() -> None:
    drop_columns("clinic", *COLUMNS)
