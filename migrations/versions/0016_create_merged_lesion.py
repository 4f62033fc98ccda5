"""Create the table merged_lesion."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "merged_lesion",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("merge_id", BIG_ID, nullable=False),
        sa.Column("lesion_id", BIG_ID, nullable=False),
        sa.Column("former_number", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["lesion_id"], ["lesion.id"], name=op.f("fk_merged_lesion_lesion_id_lesion")),
        sa.ForeignKeyConstraint(
            ["merge_id"], ["patient_merge.id"], name=op.f("fk_merged_lesion_merge_id_patient_merge")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_merged_lesion")),
        sa.UniqueConstraint("merge_id", "lesion_id", name=op.f("uq_merged_lesion_merge_id_lesion_id")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
    )
    op.create_index(op.f("ix_merged_lesion_lesion_id"), "merged_lesion", ["lesion_id"], unique=False)


def downgrade() -> None:
    op.drop_table("merged_lesion")
