"""How Alembic reaches the app's database and tables; run by `flask db …`."""

from alembic import context

from melanoma_app.extensions import db
from melanoma_app.models import Base


def run_migrations() -> None:
    """Upgrade or downgrade through the app's own engine, one transaction a migration."""
    with db.engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            transaction_per_migration=True,
            # SQLite cannot alter a column or drop a constraint: Alembic then copies the table.
            render_as_batch=connection.dialect.name == "sqlite",
        )
        with context.begin_transaction():
            context.run_migrations()


if context.is_offline_mode():
    raise SystemExit("Migrations need the database: run them without --sql.")
run_migrations()
