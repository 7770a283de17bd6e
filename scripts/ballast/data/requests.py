"""Match the rows of two pools by their requests, for pools with the same requests and other responses."""

import pandas as pd

from ballast.data.rows import content_id
from ballast.files import BallastError


def keys(pool: pd.DataFrame) -> pd.Series:
    """Return id -> a digest of the row's request: instruction, input and, in a chat, the earlier messages."""
    texts = pool.reindex(columns=["instruction", "input", "turns"], fill_value="")
    return pd.Series([content_id(*row) for row in texts.itertuples(index=False)], index=pool["id"])


def counterparts(ids: list[str], there: pd.DataFrame, here: pd.DataFrame) -> list[str]:
    """Return the ids of the rows `here` with the requests of rows `there`, in order.

    Raises BallastError if a request has no row here, or several rows in either pool.
    """
    asked, known = keys(there).loc[ids], keys(here)
    by_request = pd.Series(known.index, index=known)
    found = asked.isin(by_request.index)
    if not found.all():
        raise BallastError(
            f"{found.sum()} of {len(ids)} picked requests have a response here (the first without is that of row "
            f"{asked.index[~found][0]}); give a response to each request of the pool in requests_of, or remove the "
            "rows without one from that pool"
        )
    times = by_request.index.value_counts()
    repeated = asked.duplicated(keep=False) | (asked.map(times) > 1)
    if repeated.any():
        raise BallastError(
            f"{repeated.sum()} of {len(ids)} picked requests stand in several rows (the first is that of row "
            f"{asked.index[repeated][0]}), so their responses are ambiguous; leave one row per request in both pools"
        )
    return by_request.loc[asked].tolist()


def pairs(there: pd.DataFrame, here: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the ids `one` and `other` of rows with one request and different responses, and the rows that it leaves.

    A request with several rows in a pool is left out. Raises BallastError if no pair is left.
    """
    one, other = (_listed(pool, name) for pool, name in ((there, "one"), (here, "other")))
    single = [table[~table["request"].duplicated(keep=False)] for table in (one, other)]
    both = single[0].merge(single[1], on="request")[["one", "other"]]
    swapped = both[both["one"] != both["other"]].sort_values("one", ignore_index=True)
    counts = {
        "rows": len(one),
        "pairs": len(swapped),
        "with the same response": len(both) - len(swapped),
        "with a repeated request": len(one) - len(single[0]),
    }
    counts["without a counterpart"] = len(one) - sum(counts[name] for name in list(counts)[1:])
    if swapped.empty:
        shared = len(set(one["request"]) & set(other["request"]))
        raise BallastError(
            f"no pair of rows: {shared} of {len(one)} requests are in both pools; name pools with the same requests "
            "and other responses in experiments.swapping"
        )
    return swapped, counts


def _listed(pool: pd.DataFrame, name: str) -> pd.DataFrame:
    return keys(pool).rename_axis(name).rename("request").reset_index()
