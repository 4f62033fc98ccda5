"""Somebody with a browser, outside: TLS, a cookie jar, and forms as they stand in the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from bs4 import BeautifulSoup, Tag
from requests.adapters import HTTPAdapter

from tests.browsing import form_values, words
from tests.factories import PASSWORD

TIMEOUT_S = 60


class FromAddress(HTTPAdapter):
    """Calls from an address of this machine's own (127.0.0.2 and so on), as another computer would.

    Args:
        address: It.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, source_address=(self._address, 0), **options)


class Visitor:
    """Keeps cookies, follows redirects, sends forms.

    Args:
        address: The proxy's, with `https://`.
        certificate: What it must show.
        source: Where the visitor is.
    """

    def __init__(self, address: str, *, certificate: Path, source: str = "127.0.0.1") -> None:
        self.address, self.source = address, source
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = str(certificate)
        self.session.mount("https://", FromAddress(source))

    def close(self) -> None:
        self.session.close()

    def open(self, path: str) -> requests.Response:
        return self.session.get(urljoin(self.address, path), timeout=TIMEOUT_S)

    def send(self, page: requests.Response, action: str | None = None, **values: Any) -> requests.Response:
        """Send a form of a page; a tuple of bytes and a name is a file."""
        form = find_form(page, action)
        target = urljoin(page.url, str(form.get("action") or page.url))
        data: dict[str, Any] = form_values(form)
        files = {name: (value[1], value[0]) for name, value in values.items() if isinstance(value, tuple)}
        data |= {name: value for name, value in values.items() if not isinstance(value, tuple)}
        return self.session.post(target, data=data, files=files or None, timeout=TIMEOUT_S)

    def sign_in(self, username: str, password: str = PASSWORD) -> requests.Response:
        return self.send(self.open("/sign-in"), "/sign-in", username=username, password=password)

    def register(self, mrn: str) -> requests.Response:
        """Register somebody; gives the patient's page."""
        return self.send(
            self.open("/patients/new"),
            mrn=mrn,
            family_name=f"Family {mrn}",
            given_name="Ana",
            birth_date="1962-04-27",
            gender="female",
            consent_to_ai_analysis="yes",
        )

    def add_lesion(self, patient: requests.Response) -> requests.Response:
        """Add a lesion; gives the page for its first photograph."""
        return self.send(
            patient, f"{urlsplit(patient.url).path}/lesions", anatom_site_general="upper extremity"
        )


def find_form(page: requests.Response, action: str | None = None) -> Tag:
    """The POST form of a page that is sent to an address; the page's own if left out."""
    wanted = action or urlsplit(page.url).path
    for form in parse(page).find_all("form"):
        target = urlsplit(urljoin(page.url, str(form.get("action") or page.url))).path
        if target == wanted and str(form.get("method", "get")).lower() == "post":
            return form
    raise AssertionError(
        f"no form of {page.url} ({page.status_code}) is sent to {wanted}: {text_of(page)[:500]}"
    )


def parse(page: requests.Response) -> BeautifulSoup:
    return BeautifulSoup(page.text, "html.parser")


def text_of(page: requests.Response) -> str:
    """What a person reads."""
    return words(parse(page))
