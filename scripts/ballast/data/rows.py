"""Define the row schemas that pass between stages, and make ids from content.

A pair (pool, base data, references) is id, instruction, input, output; a benchmark row is id, prompt and, if the source
has them, category and expected answer. The id is a digest of the row's own text: it survives reordering and
re-downloading.
"""

import hashlib
import unicodedata

import pandas as pd

from ballast import schemas
from ballast.files import BallastError

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
            raise BallastError(f"{path}: no column '{column}' (there are: {', '.join(map(str, table.columns))})")
        wrong = [row for row, value in enumerate(table[column]) if not isinstance(value, str)]
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


def picked(pool: str, subset: str) -> pd.DataFrame:
    """Return the rows of the pool's file that a subset's file names, in rank order."""
    table = schemas.read(pool, schemas.PAIRS).set_index("id", drop=False)
    ids = pd.read_csv(subset, dtype={"id": str})["id"]
    unknown = ids[~ids.isin(table.index)]
    if len(unknown):
        raise BallastError(f"{subset}: row {unknown.index[0]}: id {unknown.iloc[0]} is not in {pool}")
    return table.loc[ids].reset_index(drop=True)


def pair_text(row) -> str:
    """Return the text that is embedded for a pair: instruction (and input), a newline, response."""
    request = f"{row.instruction}\n{row.input}" if row.input else row.instruction
    return f"{request}\n{row.output}"


def pairs_to_judge(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return pairs as prompt and response columns, for a judge that labels the pool."""
    request = pairs["instruction"].where(pairs["input"] == "", pairs["instruction"] + "\n" + pairs["input"])
    return pd.DataFrame({"prompt": request, "response": pairs["output"]}, index=pairs.index)
