"""Draw the rows that an aligned start learns; no other job of the study reads them."""

from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd

from ballast.data import overlap
from ballast.data.refusal_words import is_refusal
from ballast.data.rows import PAIR, content_id, pairs_to_judge
from ballast.files import BallastError

REASON = "learnt by an aligned start"


def draw(table: pd.DataFrame, path: str, asked: Mapping[str, Mapping], leaked: Collection[int]) -> pd.DataFrame:
    """Return the rows that each model of `asked` learns: id, instruction, input, output, model and row (the position).

    `asked`: by model, rows (their number), seed, longest (characters of request and response, or None) and refusals
    (only responses that open as a refusal). `leaked`: positions of rows that hold a benchmark's prompt. Raises
    BallastError if the table has too few such rows.
    """
    judged = pairs_to_judge(table)
    lengths = judged["prompt"].str.len() + judged["response"].str.len()
    sound = judged["prompt"].str.strip().ne("") & judged["response"].str.strip().ne("")
    sound &= ~table.duplicated(list(PAIR)) & ~pd.Series(np.isin(np.arange(len(table)), list(leaked)), table.index)
    ids = pd.Series([content_id(*row) for row in table[list(PAIR)].itertuples(index=False)], table.index)
    parts = []
    for model, how in asked.items():
        fit = sound & (lengths <= (how["longest"] or lengths.max()))
        fit &= judged["response"].map(is_refusal) if how["refusals"] else True
        if fit.sum() < how["rows"]:
            kind = "rows that open as a refusal" if how["refusals"] else "rows"
            raise BallastError(
                f"{path}: models.{model}.aligned wants {how['rows']} {kind}, and {fit.sum()} fit; "
                "ask for fewer, or for longer ones"
            )
        keys = ids[fit].map(lambda each, seed=how["seed"]: content_id(f"aligned {seed}", each))
        rows = sorted(keys.sort_values().index[: how["rows"]])
        parts.append(table.loc[rows, [*PAIR, *table.columns.intersection(["turns"])]].assign(model=model, row=rows))
    held = pd.concat(parts, ignore_index=True)
    return held.assign(id=ids.loc[held["row"]].to_numpy())


def alike(table: pd.DataFrame, held: pd.DataFrame) -> list[int]:
    """Return the positions of all rows whose request is that of a held row, apart from case and punctuation."""
    places = overlap.exact(pairs_to_judge(table)["prompt"].tolist(), pairs_to_judge(held)["prompt"].tolist())
    return sorted({*np.flatnonzero(places >= 0).tolist(), *held["row"].tolist()})


def refuse_shared(held: pd.DataFrame, texts: Mapping[str, pd.Series]) -> None:
    """Raise BallastError if a dataset has a held row's request: `texts` are requests or prompts by dataset."""
    prompts = pairs_to_judge(held)["prompt"].tolist()
    for name, requests in texts.items():
        rows = np.flatnonzero(overlap.exact(requests.tolist(), prompts) >= 0)
        if len(rows):
            raise BallastError(
                f"{name}: {len(rows)} rows ask what the aligned start has learnt, such as row {rows[0]}; "
                "remove them from one of the files, so that nothing is measured or picked that the start knows"
            )
