"""Read XSTest (Röttger et al., 2024): a CSV of id, prompt, type, label, focus, note.

Over-refusal is measured on the safe prompts (paper section 4.4). With `prompts: harmful` the unsafe contrasts are read.
"""

import pandas as pd

from ballast.data.records import records
from ballast.data.rows import leaving_out, require
from ballast.files import BallastError
from ballast.readers.prompts import as_tags, require_columns

GIVES = "prompts"
PROMPTS = ("safe", "harmful")


def read(path: str, prompts: str = "safe", tags: list[str] | None = None) -> pd.DataFrame:
    """Return prompt and `tags` of the rows labelled safe, or of their unsafe contrasts, in file order.

    The first version of the file has no label: there the types of unsafe prompts begin with `contrast_`.
    """
    table = pd.DataFrame(records(path))
    if "label" not in table and "type" in table:
        table["label"] = ["unsafe" if kind.startswith("contrast_") else "safe" for kind in table["type"]]
    table = require(table, ("prompt", "label"), path)
    label = "safe" if prompts == "safe" else "unsafe"
    require_columns(table, tags or [], path)
    asked = table[table["label"] == label]
    found = asked[["prompt"]].reset_index(drop=True)
    if tags:
        found["tags"] = as_tags(asked, tags)
    if found.empty:
        raise BallastError(f"{path}: no row has the label '{label}'")
    return leaving_out(found, f"whose label is not {label}", len(table) - len(found))
