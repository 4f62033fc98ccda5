"""`flask jobs …`: work on many records that goes on by itself. `docs/jobs.md` tells how."""

from __future__ import annotations

import uuid

import click
from sqlalchemy.exc import OperationalError

from melanoma_app.command_group import CommandGroup, find_active_user
from melanoma_app.errors import UnavailableError
from melanoma_app.extensions import job_queue
from melanoma_app.models import Job
from melanoma_app.models.vocabulary import JobState
from melanoma_app.services.actor import Actor
from melanoma_app.services.job_runs import run_job
from melanoma_app.services.jobs import (
    cancel_job,
    find_job,
    list_failures,
    list_jobs,
    list_unfinished,
    retry_job,
)
from melanoma_app.services.rescoring import start_rescoring

jobs = CommandGroup("jobs", help="Re-scoring, imports and uploads that go on in the background.")

_by = click.option("--by", "username", required=True, help="Who asks for it, by user name.")
_job = click.argument("public_id", metavar="JOB", type=click.UUID)


@jobs.command("list")
def list_command() -> None:
    """Show the newest jobs of all clinics, and how far each is."""
    for job in list_jobs(actor=None):
        click.echo(f"{job.public_id}\t{job.kind}\t{describe(job)}")


@jobs.command("rescore")
@_by
def rescore_command(username: str) -> None:
    """Begin to score every photograph with the active model that it has not scored yet."""
    job = start_rescoring(actor=Actor(user=find_active_user(username)))
    tell_of_new(job)


@jobs.command("run")
@click.argument("public_id", metavar="[JOB]", type=click.UUID, required=False)
def run_command(public_id: uuid.UUID | None) -> None:
    """Work on a job, or on all that are not finished, in this process, until they are."""
    ids = [find_job(public_id=public_id, actor=None).id] if public_id else list_unfinished()
    if not ids:
        click.echo("Nothing is left to do.")
    waiting = [job_id for job_id in ids if not _run(job_id)]
    if waiting:
        raise click.ClickException("A job had to stop before its end; `flask jobs list` says why.")


@jobs.command("cancel")
@_job
@_by
def cancel_command(public_id: uuid.UUID, username: str) -> None:
    """Do nothing more for a job; what it has done stays."""
    job = cancel_job(public_id=public_id, actor=Actor(user=find_active_user(username)))
    run_job(job_id=job.id)  # nothing is left but to remove the photographs that an upload has brought
    click.echo(f"{job.public_id}\t{describe(job)}")


@jobs.command("retry")
@_job
@_by
def retry_command(public_id: uuid.UUID, username: str) -> None:
    """Begin what failed in a job, or was left of it, again."""
    job = retry_job(public_id=public_id, actor=Actor(user=find_active_user(username)))
    if job.state is JobState.COLLECTING:
        click.echo(f"{job.public_id}\t{describe(job)}")
        click.echo("Send the photographs of the rows that were set aside once more, on the job's page.")
        return
    tell_of_new(job)


def tell_of_new(job: Job) -> None:
    """Say how a job that was begun goes on; without Redis this process ends, and the work is done elsewhere."""
    click.echo(f"{job.public_id}\t{describe(job)}")
    if job_queue.is_in_process:
        click.echo("Work on it with: flask jobs run")
    elif not job_queue.wake(job.id):
        click.echo("Redis does not answer, so the job waits. Workers begin it once Redis is back.", err=True)


def describe(job: Job) -> str:
    """How far a job is, in one line."""
    failed = f", {job.failed} failed" if job.failed else ""
    note = f". {job.note}" if job.note else ""
    return f"{job.state}\t{job.done} of {job.total} done{failed}{note}"


def _run(job_id: int) -> bool:
    last: list[Job] = []
    with click.progressbar(length=1, label="Items", show_pos=True) as bar:

        def show(job: Job) -> None:
            last[:] = [job]
            bar.length = max(1, job.total)
            bar.update(job.done + job.failed - bar.pos)

        try:
            is_over = run_job(job_id=job_id, on_progress=show)
        except OperationalError as error:
            raise UnavailableError(
                "The database does not answer. What was done so far stays: give the same command again to go on."
            ) from error
    for job in last:
        click.echo(f"{job.public_id}\t{describe(job)}")
        for failure in list_failures(job=job):
            what = f"row {failure.row}" if failure.row else f"photograph {failure.image_public_id}"
            click.echo(f"  {what}: {failure.problem}", err=True)
    return is_over
