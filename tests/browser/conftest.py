"""One Chromium for the session, and a tab for each test in which no error may go unseen."""

from collections.abc import Iterator

import pytest
from chromium import CHROMIUM, chromium


@pytest.fixture(scope="session")
def browser() -> Iterator:
    pytest.importorskip("playwright", reason="playwright is not installed; envs/dev.lock pins it")
    if not CHROMIUM:
        pytest.skip("chromium is not installed; as root `make test-browser` installs it")
    with chromium(viewport={"width": 1366, "height": 820}) as context:
        yield context


@pytest.fixture
def tab(browser) -> Iterator:
    """An empty tab; whatever the page logs, throws or asks the network for fails the test."""
    page = browser.new_page()
    said = []
    page.on("console", lambda message: said.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: said.append(f"error: {error}"))
    page.on("request", lambda request: None if request.url.startswith("file:") else said.append(request.url))
    yield page
    page.close()
    assert said == []
