"""Count comparisons, beyond the paper: how often a run won against another one."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ballast import schemas
from ballast.markup import MISSING, Cell, Table
from ballast.results import notes, others
from ballast.results.metrics import CELL
from ballast.study.artefacts import Options
from ballast.study.runs import from_path

KEYS = ("others", "model_labels")
READS = ("comparisons",)


def table(options: Options, paths: Sequence[str]) -> Table:
    """Return comparisons won, tied and lost, and how often the two orders of showing a pair disagree.

    `paths`: files runs/<run>/scores/<benchmark>.<pairwise>.parquet.
    """
    every = pd.concat([_compared(path) for path in paths], ignore_index=True)
    places = ["pairwise", "benchmark", *CELL]
    rows = []
    for place, table in every.groupby(places, sort=False, observed=True):
        read = table[table["score"].notna()]
        first, second = read["first"], read["second"]
        # When our response is shown second, 0 means that the one shown first was better.
        ahead = pd.concat([first, 1 - second])
        shares = {
            "won": read["score"] > 0.5,
            "tied": read["score"] == 0.5,
            "lost": read["score"] < 0.5,
            "orders_disagree": first != second,
            "first_shown_won": ahead[ahead != 0.5] == 1,
        }
        counts = {"compared": len(read), "unread": len(table) - len(read)}
        rows.append(
            dict(zip(places, place, strict=True)) | counts | {key: 100 * of.mean() for key, of in shares.items()}
        )
    data = others.by_place(pd.DataFrame(rows)).sort_values(["pairwise", "benchmark"], kind="stable", ignore_index=True)
    said = others.columns(data)
    shown = ["won", "tied", "lost", "orders_disagree", "first_shown_won"]
    body = [
        [
            Cell(f"{row['pairwise']} on {row['benchmark']}"),
            *others.spelled([row[key] for key in others.WHERE], said, options),
            *(Cell(str(row[key])) for key in ("n", "compared")),
            *(Cell(MISSING if pd.isna(row[key]) else f"{row[key]:.1f}") for key in shown),
        ]
        for _, row in data.iterrows()
    ]
    caption = (
        "Comparisons with another run in %, over all prompts and trials of a cell. A win in one order and a loss in "
        "the other is a tie."
    )
    header = ["Comparison", *(column.capitalize() for column in said), "n", "Compared", "Won", "Tied", "Lost"]
    header += ["Orders disagree", "First shown won"]
    unread = int(data["unread"].sum())
    sentences = [
        "Orders disagree: the two orders of showing a pair gave different results; `by: scores` has no orders.",
        "First shown won: of the answers that name a better reply, those that name the one shown first; 50 is no bias.",
        f"{unread:,} of {unread + int(data['compared'].sum()):,} comparisons could not be read: they are in no number.",
        *options.stand_ins.values(),
        *notes.synthetic(options),
    ]
    columns = ["l"] * (1 + len(said)) + ["c"] * 7
    return Table("Comparisons", caption, header, body, sentences, data.round(6), columns)


def _compared(path: str) -> pd.DataFrame:
    """Return a file of comparisons, with the run and the names in its path as columns."""
    parts = Path(path).parts
    start = len(parts) - 1 - parts[::-1].index("runs")
    run = from_path("/".join(parts[start + 1 : -2]))
    benchmark, name = Path(path).stem.rsplit(".", 1)
    key = {"model": run.model, "pool": run.pool, "sampler": run.sampler, "n": run.n}
    return schemas.read(path, schemas.COMPARED).assign(pairwise=name, benchmark=benchmark, **key)
