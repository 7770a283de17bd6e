"""Find the rows that ask what an aligned start has learnt; they are held out."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ballast import schemas
from ballast.data import leaks, overlap
from ballast.data.rows import pairs_to_judge

REASON = "learnt by an aligned start"


def known(table: pd.DataFrame, learnt: Sequence[str | Path]) -> list[int]:
    """Return the positions of the rows of pairs or of a benchmark that ask what the files' rows ask.

    A pair whose request holds a learnt one, and a prompt that stands in a learnt request, count too (`leaks.find`).
    """
    held = pd.concat([schemas.read(path, schemas.PAIRS) for path in learnt])
    requests = pairs_to_judge(held)["prompt"].tolist()
    if "prompt" not in table:
        return leaks.find(table, requests)["row"].tolist()
    prompts = table["prompt"].tolist()
    found = set(np.flatnonzero(overlap.exact(prompts, requests) >= 0).tolist())
    # `leaks.find` names one prompt a row, and a learnt request may hold several.
    while more := {*leaks.find(held, ["" if place in found else text for place, text in enumerate(prompts)])["place"]}:
        found |= more
    return sorted(map(int, found))
