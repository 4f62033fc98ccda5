"""How much work is waiting in the background, for whoever watches."""

from __future__ import annotations

from sqlalchemy import Engine, func, select

from melanoma_app.models import Job
from melanoma_app.services.jobs import UNFINISHED
from melanoma_app.services.plain_reading import reading


def read_queue_length(*, engine: Engine) -> dict[str, tuple[int, int]]:
    """Jobs that are not over, and what is left to do in them, by their state; of all clinics together.

    Empty where the database cannot be asked at present: what else is measured is given out all the same.
    """
    counted = (
        select(Job.state, func.count(), func.sum(Job.total - Job.done - Job.failed))
        .where(Job.state.in_(UNFINISHED))
        .group_by(Job.state)
    )
    try:
        with reading(engine) as reader:
            found = {state: (int(jobs), int(left)) for state, jobs, left in reader.rows(counted)}
    except engine.dialect.loaded_dbapi.Error:
        return {}
    return {state.value: found.get(state.value, (0, 0)) for state in UNFINISHED}
