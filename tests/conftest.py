"""What several suites share."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data files: $BALLAST_DATA, or ../shared/data. A test that wants it is skipped without it."""
    folder = Path(os.environ.get("BALLAST_DATA") or ROOT / "../shared/data").resolve()
    if not (folder / "MANIFEST.md").is_file():
        pytest.skip("the real data files are not here; set BALLAST_DATA to their folder")
    return folder
