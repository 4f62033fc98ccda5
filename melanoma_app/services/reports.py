"""The report on a photograph: what it says, and the PDF of its page."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from flask import current_app

from melanoma_app.errors import UnavailableError
from melanoma_app.extensions import db
from melanoma_app.models import Histopathology
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import record_event
from melanoma_app.services.body_map import LesionSite, describe_site
from melanoma_app.services.histopathology import newest_histopathology
from melanoma_app.services.lesion_images import find_lesion_image
from melanoma_app.services.predictions import Result, find_result

_ORIGIN: Final = "https://record.invalid"
"""Stands for the app in the page's addresses. RFC 2606 keeps the domain from ever being one."""
_STYLES: Final = "css/"


@dataclass(frozen=True, kw_only=True)
class Report:
    """What stands on paper.

    Args:
        result: The photograph, the model's newest answer, first reads, the review with its addenda.
        site: Where the lesion is, in words and codes.
        histopathology: The laboratory report that counts; None: there is none.
        clinic_name: Whose report it is.
        is_demo: The patient is made up.
        printed_at: Now.
        printed_by: Who asked for it.
    """

    result: Result
    site: LesionSite
    histopathology: Histopathology | None
    clinic_name: str
    is_demo: bool
    printed_at: datetime
    printed_by: str

    @property
    def is_preliminary(self) -> bool:
        """Whether no clinician has signed yet."""
        return self.result.review is None


def read_report(*, image_public_id: uuid.UUID, actor: Actor) -> Report:
    """The report on a photograph; the reading is audited.

    Raises:
        NotFoundError: The clinic has no such photograph.
    """
    image = find_lesion_image(public_id=image_public_id, actor=actor)
    report = Report(
        result=find_result(image=image),
        site=describe_site(image.lesion),
        histopathology=newest_histopathology(lesion_ids=[image.lesion_id]).get(image.lesion_id),
        clinic_name=actor.user.clinic.name,
        is_demo=actor.user.clinic.is_demo,
        printed_at=utc_now(),
        printed_by=actor.user.display_name,
    )
    record_event(
        action=AuditAction.REPORT_READ,
        actor=actor,
        subject_public_id=image.public_id,
        patient=image.lesion.patient,
    )
    db.session.commit()
    return report


def write_pdf(*, html: str, photograph: bytes, photograph_address: str) -> bytes:
    """Make a PDF of the report's page. Nothing is fetched: the page gets our style sheets and the photograph alone.

    The letters come from the fonts of the machine. DejaVu, which the web image brings, has the Latin, Greek, Cyrillic,
    Armenian, Georgian, Hebrew and Arabic scripts; a name in Chinese, Japanese, Korean or an Indian script needs a
    font that has it (such as fonts-noto-cjk or fonts-noto-core), else it prints as empty boxes.

    Args:
        html: The page, as the browser gets it.
        photograph: The bytes of the one picture on it, a JPEG.
        photograph_address: Its address on the page.

    Raises:
        UnavailableError: The libraries that set type are not installed.
    """
    weasyprint = _load_weasyprint()
    fetcher = _make_fetcher(weasyprint.urls, photograph, photograph_address)
    try:
        content: bytes = weasyprint.HTML(string=html, base_url=_ORIGIN, url_fetcher=fetcher).write_pdf()
    except weasyprint.urls.FatalURLFetchingError as error:
        # WeasyPrint lets it pass every `except Exception`, which would end the web process.
        raise RuntimeError("the report's page asks for something that is none of ours") from error
    return content


def _load_weasyprint() -> Any:
    """Loaded with the first PDF: it takes half a second and 40 MB, and most processes never write one."""
    try:
        import weasyprint
    except OSError as error:  # a shared library is missing
        raise UnavailableError(
            "PDF files cannot be made on this server, for Pango is missing. Your engineer installs the packages "
            "libpango-1.0-0, libpangoft2-1.0-0, libharfbuzz-subset0 and fonts-dejavu-core. "
            "Until then, print the report's page from the browser."
        ) from error
    return weasyprint


def _make_fetcher(urls: Any, photograph: bytes, photograph_address: str) -> Any:
    """What the page may load: our style sheets and its photograph. Anything else stops the PDF."""
    static = f"{current_app.static_url_path}/{_STYLES}"
    sheets = {static + path.name: path for path in (Path(str(current_app.static_folder)) / _STYLES).iterdir()}

    class OwnFiles(urls.URLFetcher):  # type: ignore[misc]  # known only once WeasyPrint is loaded
        def fetch(self, url: str, headers: Mapping[str, str] | None = None) -> Any:
            parts = urlsplit(url)
            if f"{parts.scheme}://{parts.netloc}" == _ORIGIN:
                if parts.path == photograph_address:
                    return urls.URLFetcherResponse(url, photograph, {"Content-Type": "image/jpeg"})
                if parts.path in sheets:
                    sheet = sheets[parts.path].read_bytes()
                    return urls.URLFetcherResponse(url, sheet, {"Content-Type": "text/css"})
            raise ValueError(f"{url} is none of ours")

    return OwnFiles(fail_on_errors=True)
