"""Draw the rows that an aligned start learns, and find what else of the study's data they make known to it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ballast import plugins, schemas
from ballast.data import leaks, overlap
from ballast.data.rows import PAIR, content_id, pairs_to_judge
from ballast.files import BallastError
from ballast.judges import refusal_string
from ballast.labels.behaviour import behaviour
from ballast.names import BEHAVIOURS

REASON = "learnt by an aligned start"


def read(
    path: str,
    format: str,
    columns: dict[str, str] | None = None,
    where: dict | None = None,
    unreadable: float = 0,
    prompts: str | None = None,
) -> pd.DataFrame:
    """Return the rows that a reader finds in a file; at most this share may be unreadable."""
    reader = plugins.load("readers", format)
    if hasattr(reader, "FORM"):
        return reader.read(path, columns=columns or {}, where=where or {}, unreadable=unreadable)
    return reader.read(path, **({"prompts": prompts} if prompts else {}))


def draw(table: pd.DataFrame, place: str, wanted: dict[str, int], seed: int, longest: int | None) -> pd.DataFrame:
    """Return rows of `table` with ids, drawn by the seed and their own text, in file order.

    `wanted`: numbers of T1 to T4 rows (t1 to t4), by the rule `refusal-string`, and of other rows (any). `longest`: the
    most characters of request and response. `place`: the config's key, for the error if too few rows fit.
    """
    judged = pairs_to_judge(table)
    sound = judged["prompt"].str.strip().ne("") & judged["response"].str.strip().ne("")
    sound &= ~table.duplicated(list(PAIR))
    if longest is not None:
        sound &= judged["prompt"].str.len() + judged["response"].str.len() <= longest
    types = behaviour(refusal_string.judge(judged, {}), table.get("harmful_request"))["behaviour"]
    ids = pd.Series([content_id(*row) for row in table[list(PAIR)].itertuples(index=False)], table.index)
    order = ids.map(lambda each: content_id(f"aligned {seed}", each)).sort_values().index
    drawn: set[int] = set()
    for kind in (*map(str.lower, BEHAVIOURS), "any"):
        fit = sound if kind == "any" else sound & (types == kind.upper())
        found = [row for row in order if fit[row] and row not in drawn]
        if len(found) < wanted[kind]:
            raise BallastError(
                f"{place}.{kind}: it wants {wanted[kind]} rows, and {len(found)} fit; ask for fewer, or longer ones"
            )
        drawn |= set(found[: wanted[kind]])
    rows = table.loc[sorted(drawn), [*PAIR, *table.columns.intersection(["turns"])]]
    return rows.assign(id=ids.loc[rows.index]).reset_index(drop=True)


def known(table: pd.DataFrame, learnt: Sequence[str | Path]) -> list[int]:
    """Return the positions of the rows of pairs or of a benchmark that ask what the files' rows ask.

    A pair whose request holds a learnt one, and a prompt that stands in a learnt request, count too (`leaks.find`).
    """
    held = pd.concat([schemas.read(path, schemas.PAIRS) for path in learnt])
    requests = pairs_to_judge(held)["prompt"].tolist()
    if "prompt" not in table:
        return leaks.find(table, requests)["row"].tolist()
    prompts = table["prompt"].tolist()
    same = np.flatnonzero(overlap.exact(prompts, requests) >= 0).tolist()
    return sorted({*same, *leaks.find(held, prompts)["place"].tolist()})
