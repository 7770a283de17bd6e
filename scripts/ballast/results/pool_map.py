"""Draw a subset in its pool, in the plane of the pool's embeddings."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ballast.names import BEHAVIOURS, UNKNOWN
from ballast.results import style

SHOWN = 20_000  # at most this many rows of the pool are drawn, evenly by id
PICK = {"s": 16, "facecolor": style.BLACK, "edgecolor": "white", "linewidth": 0.5, "zorder": 3}
ID = {"fontsize": 6, "color": style.BLACK, "zorder": 4}
BOX = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": style.GREY, "linewidth": 0.5}
NUMBERED = 120  # at most this many picks are drawn as the ids of their categories
DOT = {"s": 5, "linewidth": 0, "rasterized": True}


def draw(pool: pd.DataFrame, picked: Sequence[str], explained: tuple[float, float], said: Sequence[str]):
    """Return the figure: behaviours at the left, categories at the right.

    `pool`: id, x, y, behaviour and category, missing if not labelled. `picked`: ids. `explained`: the share of the
    variance on each axis. `said`: sentences of the small print.
    """
    pool = pool.sort_values("id")
    marked = pool[pool["id"].isin(picked)]
    shown = pool.iloc[:: -(-len(pool) // SHOWN)]
    note = f"In black: the {len(marked)} picked rows; {len(shown):,} of the pool's {len(pool):,} rows are drawn."
    canvas = style.canvas(2, 3.0, [*said, note, "Axes: the first two principal components of the embeddings."])
    numbered = len(marked) <= NUMBERED and marked["category"].notna().all()
    second = "By harm category, by its id" if numbered else "By harm category (id at its median)"
    for panel, title, paint in zip(
        canvas.panels, ("By behaviour", second), (_behaviours, _pale if numbered else _categories), strict=True
    ):
        paint(panel, shown)
        if paint is _pale:
            for row in marked.itertuples():
                panel.annotate(str(row.category), (row.x, row.y), ha="center", va="center", **ID)
        else:
            panel.scatter(marked["x"], marked["y"], **PICK)
        panel.set_title(title)
        panel.set_xlabel(f"component 1 ({explained[0]:.0%} of the variance)")
        panel.set_ylabel(f"component 2 ({explained[1]:.0%})")
        panel.grid(False)
    return canvas.figure


def _behaviours(panel: Axes, rows: pd.DataFrame) -> None:
    for kind in (*BEHAVIOURS, UNKNOWN):
        some = rows[rows["behaviour"] == kind]
        if len(some):
            panel.scatter(some["x"], some["y"], color=style.BEHAVIOUR_HUES[kind], label=kind, **DOT)
    if rows["behaviour"].isna().all():
        panel.scatter(rows["x"], rows["y"], color=style.PALE, label="not labelled", **DOT)
    panel.legend(loc="best", markerscale=2, handletextpad=0.2)


def _pale(panel: Axes, rows: pd.DataFrame) -> None:
    panel.scatter(rows["x"], rows["y"], color=style.PALE, **DOT)


def _categories(panel: Axes, rows: pd.DataFrame) -> None:
    _pale(panel, rows)
    for category, some in rows.dropna(subset=["category"]).groupby("category"):
        place = np.median(some["x"]), np.median(some["y"])
        panel.annotate(str(int(category)), place, ha="center", va="center", bbox=BOX, **ID)
