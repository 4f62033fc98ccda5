"""A browser without scripts: it opens pages, parses them, and sends forms as they stand in the HTML."""

from __future__ import annotations

from functools import cached_property
from io import BytesIO
from typing import Any
from urllib.parse import urljoin, urlsplit

from bs4 import BeautifulSoup, Tag
from flask.testing import FlaskClient
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse

from tests.api import multipart


class Page:
    """An answer and, parsed, its HTML.

    Args:
        response: The answer; redirects have been followed.
    """

    def __init__(self, response: TestResponse) -> None:
        self.response = response
        self.status = response.status_code
        self.path = response.request.path
        self.headers = response.headers

    @cached_property
    def soup(self) -> BeautifulSoup:
        return BeautifulSoup(self.response.get_data(as_text=True), "html.parser")

    @property
    def text(self) -> str:
        """What a person reads, with single spaces."""
        return words(self.soup)

    @property
    def heading(self) -> str:
        """The page's one first-level heading."""
        (heading,) = self.soup.find_all("h1")
        return words(heading)

    def form(self, action: str | None = None) -> Tag:
        """The POST form that is sent to an address (the page's own if left out)."""
        wanted = action or self.path
        for form in self.soup.find_all("form"):
            target = urlsplit(urljoin(self.path, str(form.get("action") or self.path))).path
            if target == wanted and str(form.get("method", "get")).lower() == "post":
                return form
        raise AssertionError(f"no form on {self.path} is sent to {wanted}")

    def links(self) -> list[str]:
        """The address of every link on the page."""
        return [urljoin(self.path, str(link["href"])) for link in self.soup.find_all("a", href=True)]

    def error_of(self, field: str) -> str:
        """What the page says is wrong with a field, through the element that describes it."""
        control = self.soup.find(attrs={"name": field})
        assert isinstance(control, Tag), f"no field {field} on {self.path}"
        if control.get("type") == "radio" and (group := control.find_parent("fieldset")):
            control = control if control.get("aria-describedby") else group
        ids = str(control.get("aria-describedby") or "").split()
        described = [self.soup.find(id=name) for name in ids]
        return " ".join(words(element) for element in described if isinstance(element, Tag))


class Browser:
    """Keeps cookies and follows redirects.

    Args:
        client: The app's test client.
    """

    def __init__(self, client: FlaskClient) -> None:
        self.client = client

    def open(self, address: str, **options: Any) -> Page:
        return Page(self.client.get(address, follow_redirects=True, **options))

    def send(self, form: Tag, page: Page, *, follow: bool = True, **values: Any) -> Page:
        """Send a form of a page with some fields filled in; every other field goes as it stands.

        A tuple of bytes and a file name fills in a file.
        """
        data: Any = form_values(form)
        for name, value in values.items():
            assert form.find(attrs={"name": name}), f"the form has no field {name}"
            data[name] = FileStorage(BytesIO(value[0]), value[1]) if isinstance(value, tuple) else value
        action = urljoin(page.path, str(form.get("action") or page.response.request.full_path))
        if form.get("enctype") == "multipart/form-data":
            data, content_type = multipart(data)
        else:
            content_type = None
        return Page(self.client.post(action, data=data, content_type=content_type, follow_redirects=follow))

    def fill_in(self, address: str, *, action: str | None = None, **values: Any) -> Page:
        """Open a page and send its form."""
        page = self.open(address)
        assert page.status == 200, f"{address}: {page.status}"
        return self.send(page.form(action), page, **values)

    def search(self, text: str) -> Page:
        """Send the search box."""
        return self.fill_in("/patients", action="/patients/search", search=text)

    def sign_in(self, username: str, password: str, *, follow: bool = True) -> Page:
        page = self.open("/sign-in")
        return self.send(page.form(), page, follow=follow, username=username, password=password)

    def post(self, address: str, **values: Any) -> TestResponse:
        """Post values that no form of ours holds, with a valid CSRF token."""
        page = self.open("/api-docs")
        holder = page.soup.find("input", attrs={"name": "csrf_token"})
        assert isinstance(holder, Tag)
        return self.client.post(address, data={"csrf_token": holder["value"], **values}, buffered=True)


def form_values(form: Tag) -> dict[str, str]:
    """What a browser would send if the form were sent untouched."""
    values: dict[str, str] = {}
    for control in form.find_all(["input", "select", "textarea"]):
        name = control.get("name")
        if not name or control.has_attr("disabled"):
            continue
        if control.name == "textarea":
            values[str(name)] = control.get_text()
        elif control.name == "select":
            options = control.find_all("option")
            chosen = next((option for option in options if option.has_attr("selected")), options[0])
            values[str(name)] = str(chosen.get("value", words(chosen)))
        elif control.get("type") in ("radio", "checkbox"):
            if control.has_attr("checked"):
                values[str(name)] = str(control.get("value", "on"))
        elif control.get("type") not in ("file", "submit", "button"):
            values[str(name)] = str(control.get("value", ""))
    return values


def words(element: Tag) -> str:
    """An element's text with single spaces."""
    return " ".join(element.get_text(" ").split())
