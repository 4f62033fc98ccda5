"""Whether a page can be read: what Axe says of it, light and dark, and whether it fits a telephone."""

from __future__ import annotations

from typing import Any, Final

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, ViewportSize

SERIOUS: Final = ("serious", "critical")
DESK: Final[ViewportSize] = {"width": 1280, "height": 900}
PHONE: Final[ViewportSize] = {"width": 360, "height": 780}
# Colours are all that is another in the dark.
RULES: Final[dict[str, dict[str, Any]]] = {"light": {}, "dark": {"runOnly": ["color-contrast"]}}


def read_open_page(page: Page) -> list[str]:
    """The serious faults of the page that is open; all in one go, for opening it is what takes the time."""
    faults = []
    for scheme, rules in RULES.items():
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        violations = Axe().run(page, options={"resultTypes": ["violations"]} | rules).response["violations"]
        faults += [f"{scheme}: {one['id']}" for one in violations if one["impact"] in SERIOUS]
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(PHONE)
    width_px = page.evaluate("document.documentElement.scrollWidth")
    if width_px > PHONE["width"]:
        faults.append(f"narrow: it is {width_px} px wide")
    page.set_viewport_size(DESK)
    return faults
