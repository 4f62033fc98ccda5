"""Count the failed sign-ins of a user."""

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from migrations.columns import NewColumn, add_columns, drop_columns

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

COLUMNS = (
    NewColumn(name="failed_sign_ins", type=sa.Integer()),
    NewColumn(name="held_until", type=sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")),
)


def upgrade() -> None:
    add_columns("user", *COLUMNS)


def downgrade() -> None:
    drop_columns("user", *COLUMNS)
