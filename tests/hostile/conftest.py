"""The real server and a page of the real browser, for what only a browser can show."""

from tests.browser.conftest import complaints, model_folder, page, served

__all__ = ["complaints", "model_folder", "page", "served"]
