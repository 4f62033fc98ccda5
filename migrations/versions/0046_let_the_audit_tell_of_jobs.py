"""Let the audit tell of jobs: widen the vocabulary of audit_event.action.

The way back is refused, with nothing changed, once one of the new actions has been audited: the older
program cannot read such an entry, and an entry of the log is never removed.
"""

from alembic import op

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None

CONSTRAINT = "ck_audit_event_audit_action"
ACTIONS = (
    "sign_in",
    "sign_in_failed",
    "sign_out",
    "user_created",
    "token_created",
    "clinic_created",
    "patient_registered",
    "patient_edited",
    "patient_read",
    "patients_listed",
    "lesion_added",
    "image_added",
    "image_read",
    "prediction_read",
    "model_registered",
    "model_activated",
    "patients_merged",
    "patient_merge_reverted",
    "consent_recorded",
    "lesion_edited",
    "image_scored",
    "checklist_recorded",
    "first_read_recorded",
    "review_signed",
    "addendum_added",
    "histopathology_recorded",
    "report_read",
    "records_exported",
    "user_edited",
    "user_disabled",
    "user_enabled",
    "password_changed",
    "password_reset_issued",
    "password_reset_used",
    "second_factor_enabled",
    "second_factor_disabled",
    "second_factor_failed",
    "recovery_codes_made",
    "recovery_code_used",
    "sessions_revoked",
    "sign_in_held",
    "token_revoked",
    "clinic_edited",
    "access_refused",
    "audit_read",
    "audit_exported",
    "patient_exported",
    "patient_erased",
    "research_exported",
    "backup_made",
    "backup_restored",
)
ADDED = (
    "job_created",
    "job_cancelled",
    "job_retried",
)


def upgrade() -> None:
    _allow((*ACTIONS, *ADDED))


def downgrade() -> None:
    _allow(ACTIONS)


def _allow(actions: tuple[str, ...]) -> None:
    condition = "action IN ({})".format(", ".join(f"'{action}'" for action in actions))
    if op.get_bind().dialect.name == "sqlite":
        with op.batch_alter_table("audit_event") as batch:
            batch.drop_constraint(op.f(CONSTRAINT), type_="check")
            batch.create_check_constraint(op.f(CONSTRAINT), condition)
    else:
        # One statement, and so one step: the column is never without its constraint.
        op.execute(
            f"ALTER TABLE audit_event DROP CONSTRAINT {CONSTRAINT}, "
            f"ADD CONSTRAINT {CONSTRAINT} CHECK ({condition})"
        )
