"""Define the row schemas that pass between stages, and make ids from content.

A pair (pool, base data, references) is id, instruction, input, output; a benchmark row is id, prompt and, if the source
has them, category and expected answer. The id is a digest of the row's own text: it survives reordering and
re-downloading.
"""

import hashlib
import unicodedata
from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd

from ballast import schemas
from ballast.data.named import listed
from ballast.files import BallastError, read_arrow

PAIR = ("instruction", "input", "output")


def content_id(*texts: str) -> str:
    """Return 16 hex digits of the SHA-256 of the texts in Unicode normal form C."""
    joined = "\x1f".join(unicodedata.normalize("NFC", text) for text in texts)
    return hashlib.sha256(joined.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def require(table: pd.DataFrame, columns: tuple[str, ...], path: str) -> pd.DataFrame:
    """Return the table if it has rows and every column holds text; else raise BallastError with file, row and key."""
    if table.empty:
        raise BallastError(f"{path}: no rows")
    for column in columns:
        if column not in table:
            raise BallastError(f"{path}: no column '{column}' (there are: {listed(table.columns, path)})")
        wrong = [row for row, value in table[column].items() if not isinstance(value, str)]
        if wrong:
            raise BallastError(f"{path}: row {wrong[0]}: '{column}' is missing or not text")
    return table


def with_ids(table: pd.DataFrame, columns: tuple[str, ...], path: str, repeats: bool = False) -> pd.DataFrame:
    """Put an `id` column first. A repeated row is an error unless `repeats`: then its id counts the repeat."""
    ids = pd.Series([content_id(*row) for row in table[list(columns)].itertuples(index=False)], index=table.index)
    times = ids.groupby(ids).cumcount()
    if not repeats and times.any():
        second = int(times.to_numpy().argmax())
        first = int((ids == ids.iloc[second]).to_numpy().argmax())
        raise BallastError(f"{path}: row {second} repeats row {first} (id {ids.iloc[second]}); remove one of them")
    ids = ids.where(times == 0, ids + "-" + times.astype(str))
    return table.assign(id=ids)[["id", *[column for column in table.columns if column != "id"]]]


def write_picked(path: str, pool: str, ids: list[str]) -> None:
    """Write the rows of the pool's file with these ids, in their order, as training reads them.

    They depend on no other row of the pool, so training runs again only if they change: the column `turns` is there if
    a picked row has several, and labels are left out.
    """
    table = read_arrow(pool, ["id", *PAIR, "turns"], ["turns"], ids).to_pandas()
    unknown = set(ids) - set(table["id"])
    if unknown:
        raise BallastError(f"{pool}: no row has the id {min(unknown)}, which was picked")
    rows = table.set_index("id", drop=False).loc[ids]
    if "turns" in rows and not rows["turns"].any():
        rows = rows.drop(columns="turns")
    schemas.write(path, rows, schemas.PAIRS)


def pair_text(row) -> str:
    """Return the text that is embedded for a pair: instruction (and input), a newline, response."""
    request = f"{row.instruction}\n{row.input}" if row.input else row.instruction
    return f"{request}\n{row.output}"


def pairs_to_judge(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return pairs as prompt and response columns, for a judge that labels the pool."""
    request = pairs["instruction"].where(pairs["input"] == "", pairs["instruction"] + "\n" + pairs["input"])
    return pd.DataFrame({"prompt": request, "response": pairs["output"]}, index=pairs.index)


LEAKED = "that hold a benchmark's prompt"


def usable(
    table: pd.DataFrame,
    tidy: bool,
    aside: Mapping[str, Collection[int]],
    number: int | None,
    seed: int | None,
    longest: int | None = None,
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the rows that a study uses, with their index, and by reason how many it does not.

    `tidy`: leave out repeats and rows without a response. `aside`: positions of other rows to leave out, by reason.
    `longest`: the most characters of a row. `number`, `seed`: as for `first_rows`.
    """
    left_out = {}
    keep = pd.Series(True, index=table.index)
    reasons = {}
    if tidy:
        ids = pd.Series([content_id(*row) for row in table[list(PAIR)].itertuples(index=False)], table.index)
        empty = table["output"].str.strip() == ""
        reasons = {"without a response": empty, "repeats": ids.duplicated() & ~empty}
    for why, places in aside.items():
        reasons[why] = pd.Series(np.isin(np.arange(len(table)), list(places)), table.index)
    if longest is not None:
        texts = table[[column for column in (*PAIR, "prompt") if column in table]]
        reasons[f"longer than {longest:,} characters"] = texts.map(len).sum(axis=1) > longest
    for why, mask in reasons.items():
        left_out[why] = int((mask & keep).sum())
        keep &= ~mask
    rows = table[keep]
    used = first_rows(rows, number, seed)
    left_out["beyond the rows asked for"] = len(rows) - len(used)
    return used, {why: times for why, times in left_out.items() if times}


def first_rows(table: pd.DataFrame, number: int | None, seed: int | None) -> pd.DataFrame:
    """Return the first `number` rows, or `number` rows drawn by the seed and the rows' own text, in file order."""
    if number is None or number >= len(table):
        return table
    if seed is None:
        return table.head(number)
    keys = pd.Series([content_id(str(seed), *map(str, row)) for row in table.itertuples(index=False)])
    return table.iloc[sorted(keys.sort_values().index[:number])]


def leaving_out(table: pd.DataFrame, why: str, times: int) -> pd.DataFrame:
    """Note in a reader's table that it leaves rows out, and return it."""
    if times:
        table.attrs["left_out"] = table.attrs.get("left_out", {}) | {why: times}
    return table


def count(table: pd.DataFrame, left_out: dict[str, int], used: int) -> dict:
    """Return a file's rows: all, used, and left out by reason; they add up."""
    reasons = table.attrs.get("left_out", {}) | left_out
    return {"rows": used + sum(reasons.values()), "used": used, "left_out": reasons}


def said(counts: dict) -> str:
    """Return the counts of a file's rows as one sentence."""
    reasons = [f"{times:,} {why}" for why, times in sorted(counts["left_out"].items())]
    return " - ".join([f"{counts['rows']:,} rows", *reasons]) + f" = {counts['used']:,} used"
