"""Let jobs collect photographs: widen the vocabularies of job.kind and job.state.

The way back is refused, with nothing changed, while there is a bulk upload: the older program cannot read one.
"""

from alembic import op

revision = "0047"
down_revision = "0046"
branch_labels = None
depends_on = None

KINDS = ("rescore", "import_images")
STATES = ("waiting", "running", "done", "failed", "cancelled")


def upgrade() -> None:
    _allow(kinds=(*KINDS, "bulk_upload"), states=(*STATES, "collecting"))


def downgrade() -> None:
    _allow(kinds=KINDS, states=STATES)


def _allow(*, kinds: tuple[str, ...], states: tuple[str, ...]) -> None:
    conditions = {"ck_job_job_kind": _one_of("kind", kinds), "ck_job_job_state": _one_of("state", states)}
    if op.get_bind().dialect.name == "sqlite":
        with op.batch_alter_table("job") as batch:
            for name, condition in conditions.items():
                batch.drop_constraint(op.f(name), type_="check")
                batch.create_check_constraint(op.f(name), condition)
    else:
        # One statement, and so one step: the columns are never without their constraints.
        steps = [
            f"DROP CONSTRAINT {name}, ADD CONSTRAINT {name} CHECK ({condition})"
            for name, condition in conditions.items()
        ]
        op.execute(f"ALTER TABLE job {', '.join(steps)}")


def _one_of(column: str, words: tuple[str, ...]) -> str:
    return "{} IN ({})".format(column, ", ".join(f"'{word}'" for word in words))
