"""Headless Chromium of this machine, offline, with a profile of its own that ends with it."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def chromium(**options) -> Iterator:
    """A window as playwright's BrowserContext; `options` are playwright's, such as viewport and color_scheme."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as profile, sync_playwright() as playwright:
        # As root Chromium's own sandbox cannot start.
        sandbox = os.geteuid() != 0
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=CHROMIUM, headless=True, chromium_sandbox=sandbox, args=FLAGS, **options
        )
        try:
            yield context
        finally:
            context.close()
