"""Name files by their own names, results/<study>/..., where a job works on local copies of a storage's files."""

import os

COPIES = "BALLAST_LOCAL_COPIES"  # environment: the folder of the local copies, if the results lie on a storage


def named(text: str) -> str:
    """Return a text that names files, without the folder of the local copies."""
    return text.replace(f"{copies}/", "") if (copies := os.environ.get(COPIES)) else text
