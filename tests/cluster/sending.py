"""What people and programs send to the cluster: photographs, record numbers of their own, calls of the API."""

from __future__ import annotations

import requests

from tests.cluster.conftest import Cluster
from tests.photographs import draw_photograph, shoot_again

_names = iter(range(1000))


def next_mrn() -> str:
    """A record number that nobody has yet."""
    return f"WEATHER-{next(_names)}"


def photograph() -> tuple[bytes, str]:
    """A file that was never sent before, and its name."""
    return shoot_again(draw_photograph()), "photo.jpg"


def call_api(cluster: Cluster, token: str, path: str = "/patients") -> requests.Response:
    """Ask through the proxy, as a program outside does."""
    return requests.get(
        f"{cluster.address}/api/v1{path}",
        headers={"Authorization": f"Bearer {token}"},
        verify=str(cluster.certificate),
        timeout=60,
    )
