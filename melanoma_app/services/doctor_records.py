"""The doctor's look at the record: the ends of the audit chains, the clock against them, the counts, leftovers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from melanoma_app.extensions import db
from melanoma_app.models import AuditChain, AuditEvent, FileToDelete
from melanoma_app.models.audit import FIRST_HASH, SEALED_COLUMNS, compute_hash
from melanoma_app.models.base import utc_now
from melanoma_app.services.count_check import is_something_uncounted
from melanoma_app.services.doctor_findings import Finding, broken, look, well

CLOCK_TOLERANCE: Final = timedelta(seconds=5)
"""What the machines of a clinic may differ by while several write."""


def examine_records() -> Iterator[Finding]:
    """Look at what can be told in a moment; `flask audit verify` and `flask statistics verify` look at all of it."""
    try:
        yield from (_say_chains(), _say_time(), _say_counts(), _say_leftovers())
    except DBAPIError as error:
        reason = str(error.orig.args[-1]) if error.orig and error.orig.args else "no reason given"
        yield broken("record", f"It cannot be read ({reason}). Run: flask db upgrade")
    finally:
        db.session.rollback()


def _say_chains() -> Finding:
    part, chains = "audit", db.session.scalars(select(AuditChain).order_by(AuditChain.id)).all()
    for chain in chains:
        is_last = (AuditEvent.chain_id == chain.id, AuditEvent.sequence == chain.last_sequence)
        behind = (AuditEvent.chain_id == chain.id, AuditEvent.sequence > chain.last_sequence)
        last = db.session.execute(select(*SEALED_COLUMNS, AuditEvent.entry_hash).where(*is_last)).first()
        found = FIRST_HASH if last is None and chain.last_sequence == 0 else last and last.entry_hash
        is_edited = last is not None and compute_hash(last) != last.entry_hash
        if (
            found != chain.last_hash
            or is_edited
            or db.session.scalar(select(AuditEvent.id).where(*behind).limit(1))
        ):
            return broken(
                part,
                f"Chain {chain.id} does not end where it says it does: somebody has changed it. "
                "Run flask audit verify, keep what it prints, and call whoever answers for data protection.",
            )
    return well(part, f"{len(chains)} chains end where they say they do.")


def _say_time() -> Finding:
    """Times may not run backwards: the audit's order and time would say different things."""
    # The last of each chain: the newest by number, which an index finds at once.
    newest = db.session.scalar(
        select(func.max(AuditEvent.occurred_at)).join(
            AuditChain,
            (AuditChain.id == AuditEvent.chain_id) & (AuditChain.last_sequence == AuditEvent.sequence),
        )
    )
    if newest is None:
        return well("clock", "Nothing is on record yet that could be later than now.")
    ahead = newest - utc_now()
    if ahead > CLOCK_TOLERANCE:
        return broken(
            "clock",
            f"The newest audit entry is {round(ahead.total_seconds())} s later than now: the clock (the database's, "
            "where that is a server) was set back, or ran ahead when it was written. Let NTP set it (timedatectl), and "
            "write down that the entries of that time may be wrong.",
        )
    return well("clock", "Later than everything on record.")


def _say_counts() -> Finding:
    if is_something_uncounted():
        return broken("statistics", "Some records are not counted. Run: flask statistics rebuild")
    return well("statistics", "Every clinic's are kept.")


def _say_leftovers() -> Finding:
    left = db.session.scalar(select(func.count()).select_from(FileToDelete)) or 0
    if left:
        return look(
            "erasures", f"{left} files of erased records may still be stored. Run: flask storage sweep"
        )
    return well("erasures", "Nothing of an erased record is left in the image store.")
