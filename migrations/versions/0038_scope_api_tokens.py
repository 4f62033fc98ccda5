"""Let an API token name what it may be used for."""

import sqlalchemy as sa

from migrations.columns import NewColumn, add_columns, drop_columns

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None

COLUMNS = (NewColumn(name="scopes", type=sa.JSON()),)


def upgrade() -> None:
    add_columns("api_token", *COLUMNS)


def downgrade() -> None:
    drop_columns("api_token", *COLUMNS)
