"""The Celery app and the names of its tasks: what the web process sends and `worker.py` does.

A message only wakes a worker up: the database says what is left to do. So a message may be lost, or come twice.
"""

from __future__ import annotations

from typing import Any, Final

from celery import Celery

WORK_ON: Final = "melanoma.work_on"
LOOK_FOR_WORK: Final = "melanoma.look_for_work"
TURN_S: Final = 300
"""How long a worker stays with one job before it lets another come."""
STUCK_S: Final = TURN_S + 300
"""A task that takes longer hangs: its process is killed, and what it held is taken over."""
VISIBILITY_S: Final = 2 * STUCK_S
"""When Redis gives a message of a worker that died to another; no task takes so long."""
LOOK_EVERY_S: Final = 30
"""How often a worker looks for jobs that nobody has woken it up for. A wake-up older than that is thrown away."""
REDIS_WAIT_S: Final = 2
"""A page waits no longer for Redis."""


def make_celery(redis_url: str) -> Celery:
    """Celery on a Redis server; nothing is connected yet.

    A task is acknowledged when it is done, so that it comes back when its worker dies. JSON alone is taken: a pickle
    from Redis could run anything. There is no result store: the database holds the results.
    """
    celery = Celery("melanoma", broker=redis_url)
    transport: dict[str, Any] = {
        "visibility_timeout": VISIBILITY_S,
        "socket_connect_timeout": REDIS_WAIT_S,
        "socket_timeout": 30,
        "max_retries": 0,
    }
    celery.conf.update(
        accept_content=["json"],
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options=transport,
        task_acks_late=True,
        task_default_queue="melanoma",
        task_ignore_result=True,
        task_reject_on_worker_lost=True,
        task_serializer="json",
        task_time_limit=STUCK_S,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_concurrency=1,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_prefetch_multiplier=1,
    )
    return celery
