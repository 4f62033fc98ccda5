"""What the load benchmark's people are told: whom to ask for what. Without Locust, which changes whoever imports it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

UPLOAD: Final = "upload"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Who asks whom for what, and for how long.

    Args:
        address: The server, `http://127.0.0.1:5000`.
        seconds: That are counted; they begin when everybody has signed in and the server is warm.
        accounts: User names, one a person; none where there is nothing to sign in to.
        password: Of all of them.
        token: For the REST API.
        shares: How often each kind of request is made.
        patients: Some patients' ids.
        lesions: Some lesions' ids.
        photograph: The file that is uploaded.
        people: How many.
        upload_path: Where to; {} is a lesion.
    """

    address: str
    seconds: float
    people: int
    shares: dict[str, float]
    photograph: str
    upload_path: str = "/api/v1/lesions/{}/images"
    accounts: list[str]
    password: str
    token: str
    patients: list[str]
    lesions: list[str]


def write_plan(plan: Plan, path: Path) -> None:
    """For the process that will read it."""
    path.write_text(json.dumps(asdict(plan)), encoding="utf-8")


def read_plan(path: Path) -> Plan:
    """What was written."""
    return Plan(**json.loads(path.read_text(encoding="utf-8")))
