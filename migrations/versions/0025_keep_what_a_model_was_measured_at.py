"""Keep what a model was measured at: its uncertain band, and how it did on images it had not seen."""

import sqlalchemy as sa

from migrations.columns import NewColumn, add_columns, drop_columns

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

COLUMNS = (
    NewColumn(name="uncertain_from", type=sa.Double()),
    NewColumn(name="uncertain_to", type=sa.Double()),
    NewColumn(name="test_performance", type=sa.JSON()),
)


def upgrade() -> None:
    add_columns("model_version", *COLUMNS)


def downgrade() -> None:
    drop_columns("model_version", *COLUMNS)
