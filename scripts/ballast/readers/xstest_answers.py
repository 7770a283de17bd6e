"""Read models' answers to XSTest's prompts (Röttger et al., 2024): a CSV of id, type, prompt, completion and labels.

A pool whose requests are known: the safe ones look like harmful ones, so their answers are T4, or T3 if they refuse.
The types of unsafe prompts begin with `contrast_`. People's labels of the answers are not read: a judge labels them.
"""

import pandas as pd

from ballast.data.records import records
from ballast.data.rows import require

GIVES = "pairs"


def read(path: str) -> pd.DataFrame:
    """Return instruction, input, output and harmful_request in file order."""
    table = require(pd.DataFrame(records(path)), ("type", "prompt", "completion"), path)
    texts = {"instruction": table["prompt"], "input": "", "output": table["completion"].str.strip()}
    return pd.DataFrame(texts).assign(harmful_request=table["type"].str.startswith("contrast_"))
