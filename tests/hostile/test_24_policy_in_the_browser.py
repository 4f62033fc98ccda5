"""Line 24: CSP holds in the browser (a script injected into a name does not run)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest
from playwright.sync_api import Error, Page, Route

from melanoma_app.models import Clinic as ClinicRecord
from melanoma_app.models import Lesion, LesionImage, User
from melanoma_app.models.vocabulary import Role
from tests.browser.conftest import Clinic, sign_in
from tests.factories import UserFactory
from tests.functional.test_borders import PAGES
from tests.hostile.texts import fill_every_table, long_word_for, spoil
from tests.records import Records

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"])

PHONE_WIDTH_PX: Final = 360
FOREIGN: Final = "http://foreign.test"
INJECTED: Final = f"""
<script>window.b("a script in line")</script>
<script src="{FOREIGN}/script.js"></script>
<script src="data:text/javascript,window.b('a script in a data address')"></script>
<img src="/nothing.png" onerror="window.b('a handler')">
<img src="{FOREIGN}/told.png">
<svg onload="window.b('a handler of a drawing')"></svg>
<a id="link" href="javascript:window.b('an address')">Link</a>
<iframe srcdoc="<script>parent.b('a frame')</script>"></iframe>
<object data="{FOREIGN}/object.html"></object>
<base href="{FOREIGN}/">
<p id="styled" style="position: fixed">Styled</p>
<form id="form" action="{FOREIGN}/form" method="post"><button>Send</button></form>
"""
"""What would be on the page if its escaping had a hole: each would run, load or send something."""
RECORDER: Final = """
window.ran = [];
window.b = (what) => window.ran.push(what);
window.breaches = [];
document.addEventListener("securitypolicyviolation", (event) => window.breaches.push(event.effectiveDirective));
"""


TOO_WIDE: Final = """() => {
    const room = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= room) return [];
    const wide = [...document.querySelectorAll("body *")].filter((one) =>
        one.getBoundingClientRect().right > room + 1 ||
        (one.scrollWidth > one.clientWidth + 1 && one.clientWidth && getComputedStyle(one).overflowX === "visible"));
    const innermost = wide.filter((one) => !wide.some((other) => one !== other && one.contains(other)));
    return ["page", ...new Set(innermost.map((one) => `${one.localName} in ${one.parentElement.className}`))];
}"""
"""The innermost elements that reach beyond the window, where the page as a whole scrolls sideways."""


@pytest.fixture
def people(user: User, clinic: ClinicRecord) -> list[User]:
    """Those who see the most."""
    return [user, UserFactory(clinic=clinic, role=Role.ADMIN)]


@pytest.fixture
def walk(
    page: Page, ids: dict[str, str], people: list[User], complaints: list[str]
) -> Callable[[], list[str]]:
    """Open every page once; gives what ran or was held back on each, and the pages that are too wide."""

    def walk_all() -> list[str]:
        found = []
        page.add_init_script(RECORDER)
        page.on("dialog", lambda dialog: found.append(dialog.message) or dialog.dismiss())
        clinician, admin = people
        opened = [one[4:] for one in PAGES if one.startswith("GET ") and not one.endswith(".pdf")]
        for person, addresses in (
            (clinician, [one for one in opened if "{" in one]),
            (admin, [one for one in opened if "{" not in one or PAGES[f"GET {one}"] == "administrators"]),
        ):
            page.context.clear_cookies()
            sign_in(page, person.username)
            for address in addresses:
                before = len(complaints)
                if not open_page(page, address.format(**ids)):
                    del complaints[before:]  # the browser's own page around an image
                else:
                    found += [f"{address}: {one}" for one in page.evaluate("[...ran, ...breaches]")]
                    found += [f"{address}: {one} is too wide" for one in page.evaluate(TOO_WIDE)]
        return found

    return walk_all


def open_page(page: Page, address: str) -> bool:
    """Open it, if it is a page and no file to download."""
    try:
        answer = page.goto(address)
    except Error as error:
        if "Download" not in str(error):
            raise
        return False
    assert answer is not None
    assert answer.status in (200, 403, 422), f"{address}: {answer.status}"
    return answer.headers["content-type"].startswith("text/html")


def test_no_page_breaks_its_own_policy_or_runs_a_text_when_every_field_holds_a_script(
    walk: Callable[[], list[str]],
    people: list[User],
    records: Records,
    complaints: list[str],
) -> None:
    fill_every_table(people[0], image_id=records.one(LesionImage).id, lesion_id=records.one(Lesion).id)
    spoil(records, kept_usernames={person.username for person in people})

    assert walk() == []
    assert complaints == []


def test_no_page_scrolls_sideways_when_every_field_holds_one_long_word(
    walk: Callable[[], list[str]], page: Page, people: list[User], records: Records
) -> None:
    fill_every_table(people[0], image_id=records.one(LesionImage).id, lesion_id=records.one(Lesion).id)
    spoil(records, kept_usernames={person.username for person in people}, write=long_word_for)
    page.set_viewport_size({"width": PHONE_WIDTH_PX, "height": 780})

    assert walk() == []


def test_nothing_runs_loads_or_is_sent_when_a_page_has_let_a_script_through(
    page: Page, ids: dict[str, str], people: list[User]
) -> None:
    asked: list[str] = []

    def inject(route: Route) -> None:
        answer = route.fetch()
        body = answer.text().replace("</h1>", f"</h1>{INJECTED}", 1)
        assert INJECTED in body
        route.fulfill(response=answer, body=body)

    def note(route: Route) -> None:
        asked.append(route.request.url)
        route.fulfill(status=200, body="parent.b('a foreign file')", content_type="text/javascript")

    sign_in(page, people[0].username)
    page.add_init_script(RECORDER)
    page.route(f"**/patients/{ids['patient']}", inject)
    page.route(f"{FOREIGN}/**", note)
    page.goto(f"/patients/{ids['patient']}")
    page.locator("#link").click()
    position = page.locator("#styled").evaluate("one => getComputedStyle(one).position")
    base = page.evaluate("document.baseURI")
    page.evaluate("document.getElementById('form').requestSubmit()")
    for _ in range(100):  # the policy does not let Playwright wait inside of the page
        ran, breached = page.evaluate("[ran, breaches]")
        if "form-action" in breached:
            break
        page.wait_for_timeout(50)

    assert ran == asked == []
    assert position == "static"
    assert base.endswith(ids["patient"])
    assert set(breached) >= {
        "script-src-elem",
        "script-src-attr",
        "style-src-attr",
        "img-src",
        "object-src",
        "base-uri",
        "form-action",
    }


@pytest.mark.parametrize("address", ["/sign-in", "/static/css/base.css"])
def test_nothing_is_shown_when_a_foreign_page_frames_it(page: Page, served: Clinic, address: str) -> None:
    frame = f'<iframe src="{served.address}{address}"></iframe>'
    page.route(f"{FOREIGN}/**", lambda route: route.fulfill(body=frame, content_type="text/html"))
    page.goto(f"{FOREIGN}/")

    assert "chrome-error:" in page.frames[1].url


def test_foreign_page_cannot_read_or_show_our_files_when_it_names_them(page: Page, served: Clinic) -> None:
    icon = f"{served.address}/static/img/icon.svg"
    page.route(f"{FOREIGN}/**", lambda route: route.fulfill(body="<p>Foreign</p>", content_type="text/html"))
    page.goto(f"{FOREIGN}/")
    shown = page.evaluate(
        """address => new Promise((resolve) => {
            const image = new Image();
            image.onload = () => resolve("shown");
            image.onerror = () => resolve("refused");
            image.src = address;
        })""",
        icon,
    )
    read = page.evaluate("address => fetch(address).then(() => 'read', () => 'refused')", icon)

    assert (shown, read) == ("refused", "refused")
