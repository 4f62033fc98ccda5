"""Index audit_event by what the audit page filters by: time, action, person, record."""

from collections.abc import Iterable

from alembic import op

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None

INDEXES = {
    "ix_audit_event_chain_id_occurred_at": ("chain_id", "occurred_at"),
    "ix_audit_event_chain_id_action_occurred_at": ("chain_id", "action", "occurred_at"),
    "ix_audit_event_chain_id_actor_name_occurred_at": ("chain_id", "actor_name", "occurred_at"),
    "ix_audit_event_subject_public_id_occurred_at": ("subject_public_id", "occurred_at"),
}


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for name, columns in INDEXES.items():
            op.create_index(op.f(name), "audit_event", columns)
    else:
        # One statement, and so one step: the table is read once, and never left with some of them.
        _alter(f"ADD INDEX {name} ({', '.join(columns)})" for name, columns in INDEXES.items())


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for name in INDEXES:
            op.drop_index(op.f(name), table_name="audit_event")
    else:
        _alter(f"DROP INDEX {name}" for name in INDEXES)


def _alter(changes: Iterable[str]) -> None:
    op.execute(f"ALTER TABLE audit_event {', '.join(changes)}")
