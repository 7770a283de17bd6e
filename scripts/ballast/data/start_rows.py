"""Draw the rows that an aligned start learns."""

import pandas as pd

from ballast.data.rows import PAIR, content_id, pairs_to_judge
from ballast.files import BallastError
from ballast.judges import refusal_string
from ballast.labels.behaviour import behaviour
from ballast.names import BEHAVIOURS


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
