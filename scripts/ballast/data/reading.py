"""Read a dataset's file by the reader of its format."""

import pandas as pd

from ballast import plugins


def read(
    path: str,
    format: str,
    columns: dict[str, str] | None = None,
    where: dict | None = None,
    unreadable: float = 0,
    prompts: str | None = None,
    tags: list[str] | None = None,
) -> pd.DataFrame:
    """Return the rows that a reader finds in a file; at most this share may be unreadable."""
    reader = plugins.load("readers", format)
    if hasattr(reader, "NAMES"):
        return reader.read(path, columns=columns or {}, where=where or {}, tags=tags or [])
    if hasattr(reader, "FORM"):
        return reader.read(path, columns=columns or {}, where=where or {}, unreadable=unreadable)
    given = {"prompts": prompts, "tags": tags}
    return reader.read(path, **{name: value for name, value in given.items() if value})
