"""How much traffic the app bears: photographs, pages and statistics at once, on a clinic of a million patients.

    .venv/bin/python -m benchmarks.load
    .venv/bin/python -m benchmarks.load --patients 10000 --processes 1 2 --seconds 15
    .venv/bin/python -m benchmarks.load --keep FOLDER --fill-only      # fill beforehand, measure as often as one likes
    .venv/bin/python -m benchmarks.load --keep FOLDER

Starts a MariaDB server of its own, fills a clinic (`large_clinic.py`) and serves it with `flask serve`, once with each
number of processes. Locust's people (`load_traffic.py`) ask without a pause: first for everything in turn, then for the
scoring of photographs alone. In the same run the same people ask a small Flask app on the same database, which calls
Keras `predict` in the request and counts by SQL (`load_keras.py`), for the same. Prints for each kind of request how
many were answered a second, how fast, what failed and what was told to come again (503), and what memory the server's
processes held at most.

Everything shares the cores of this machine: the people and the database take their part of them.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from benchmarks.inference import CORES
from benchmarks.load_clinic import (
    DATABASE,
    SERVING,
    Clinic,
    draw_photograph,
    find_or_fill_clinic,
    start_server,
)
from benchmarks.load_plan import UPLOAD, Plan, write_plan
from benchmarks.load_results import (
    EVERYTHING,
    Outcome,
    Outcomes,
    print_head,
    print_outcome,
    print_ratios,
    read_outcome,
)
from benchmarks.load_servers import (
    MODEL,
    PORT,
    SMALL_PORT,
    serve_clinic,
    serve_small_app,
    watch_memory,
)
from config import PROJECT_ROOT

PATIENTS: Final = 1_000_000
PROCESSES: Final = (1, 2, 4)
PEOPLE: Final = 24
SECONDS: Final = 30.0
MIXED: Final[dict[str, float]] = {
    "overview": 10,
    "worklist": 15,
    "patients": 10,
    "patient": 25,
    "statistics": 25,
    UPLOAD: 15,
}
"""Of a hundred requests. Measured nowhere: a clinic that photographs a lot and looks at its numbers a lot."""
PHOTOGRAPHS: Final = "photographs alone"
ONE_VIEW: Final = "/predict/one?lesion={}"
ALL_VIEWS: Final = "/predict/all?lesion={}"
OURS: Final = "/predict/ours?lesion={}"


def main() -> None:
    """Fill, serve, ask, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--patients", type=int, default=PATIENTS)
    parser.add_argument("--processes", type=int, nargs="+", default=PROCESSES)
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each measurement")
    parser.add_argument("--model", default=MODEL, help="a released one")
    parser.add_argument("--keep", type=Path, help="a folder for the filled clinic, to be measured again")
    parser.add_argument("--fill-only", action="store_true")
    parser.add_argument(
        "--telephone", action="store_true", help="photographs of 12 megapixels instead of drawn ones"
    )
    options = parser.parse_args()
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
        run(options, options.keep.resolve())
    else:
        with tempfile.TemporaryDirectory() as folder:
            run(options, Path(folder))


def run(options: argparse.Namespace, folder: Path) -> None:
    """Everything, in a folder."""
    clinic = find_or_fill_clinic(folder, patients=options.patients, people=options.people)
    if options.fill_only:
        return
    plan = make_plan(clinic, options, folder)
    print_head(options, plan, cores=CORES)
    with start_server(folder, SERVING) as server:
        url = server.url(DATABASE)
        ours = {
            f"{processes} × flask serve": ask_clinic(plan, url, folder, processes, options.model)
            for processes in options.processes
        }
        theirs = ask_small_app(
            "Flask app with Keras predict",
            {
                f"{PHOTOGRAPHS}, one view": replace(plan, shares={UPLOAD: 1}, upload_path=ONE_VIEW),
                f"{PHOTOGRAPHS}, all views": replace(plan, shares={UPLOAD: 1}, upload_path=ALL_VIEWS),
                # Last: it is still at work on what it was asked for when the people have gone.
                EVERYTHING: replace(plan, upload_path=ONE_VIEW),
            },
            "make_app",
            url,
            folder,
            options.model,
        )
        small = ask_small_app(
            "the same small app with our classifier",
            {PHOTOGRAPHS: replace(plan, shares={UPLOAD: 1}, upload_path=OURS)},
            "make_our_app",
            url,
            folder,
            options.model,
        )
    print_ratios(ours | {"the same small app with our classifier": small}, theirs)


def make_plan(clinic: Clinic, options: argparse.Namespace, folder: Path) -> Plan:
    """What the people ask ours for."""
    photograph = folder / "photograph.jpg"
    draw_photograph(photograph, is_from_telephone=options.telephone)
    return Plan(
        address=f"http://127.0.0.1:{PORT}",
        seconds=options.seconds,
        people=clinic.people,
        shares=MIXED,
        photograph=str(photograph),
        password=clinic.password,
        accounts=clinic.accounts,
        token=clinic.token,
        patients=clinic.some_patients,
        lesions=clinic.some_lesions,
    )


def ask_clinic(plan: Plan, database_url: str, folder: Path, processes: int, model: str) -> Outcomes:
    """Ours: the mixed traffic, then photographs alone, for which nobody need sign in."""
    plans = {EVERYTHING: plan, PHOTOGRAPHS: replace(plan, shares={UPLOAD: 1}, accounts=[])}
    with serve_clinic(
        database_url=database_url, folder=folder, processes=processes, model=model
    ) as process_id:
        return ask_all(f"{processes} × flask serve", plans, process_id, folder)


def ask_small_app(
    name: str, plans: Mapping[str, Plan], maker: str, database_url: str, folder: Path, model: str
) -> Outcomes:
    """An app of `load_keras.py`, which knows no accounts."""
    address = f"http://127.0.0.1:{SMALL_PORT}"
    asked = {setting: replace(plan, address=address, accounts=[]) for setting, plan in plans.items()}
    with serve_small_app(maker, database_url=database_url, folder=folder, model=model) as process_id:
        return ask_all(name, asked, process_id, folder)


def ask_all(name: str, plans: Mapping[str, Plan], process_id: int, folder: Path) -> Outcomes:
    """One setting after the other, each printed when it is known."""
    outcomes = {}
    for setting, plan in plans.items():
        outcomes[setting] = ask(plan, process_id, folder)
        print_outcome(f"{name}, {setting}", outcomes[setting])
    return outcomes


def ask(plan: Plan, process_id: int, folder: Path) -> Outcome:
    """Let the people ask a server, and watch its memory meanwhile."""
    plan_path, result_path = folder / "plan.json", folder / "result.json"
    result_path.unlink(missing_ok=True)
    write_plan(plan, plan_path)
    with watch_memory(process_id) as most:
        subprocess.run(  # noqa: S603 # nosec B603 # paths of this run's own folder
            [sys.executable, "-m", "benchmarks.load_traffic", str(plan_path), str(result_path)],
            cwd=PROJECT_ROOT,
            check=True,
        )
    return read_outcome(result_path, memory_mb=dict(most))


if __name__ == "__main__":
    main()
