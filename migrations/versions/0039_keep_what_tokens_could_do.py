"""Give the tokens that were made before scopes what they could do so far: whatever their owner's role allows.

The way back leaves the scopes: the column goes with the next step back.
"""

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None

SCOPES = [
    "patients:read",
    "patients:write",
    "patients:merge",
    "images:add",
    "reviews:sign",
    "records:export",
    "statistics:read",
    "models:read",
    "models:manage",
]
TOKEN = sa.table("api_token", sa.column("scopes", sa.JSON(none_as_null=True)))


def upgrade() -> None:
    op.execute(sa.update(TOKEN).where(TOKEN.c.scopes.is_(None)).values(scopes=SCOPES))


def downgrade() -> None:
    pass
