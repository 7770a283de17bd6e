"""Beyond the paper: harm by category, and the category in which a sampler does worst."""

import math
from collections.abc import Sequence

import pandas as pd

from ballast.categories import CATEGORIES, title
from ballast.files import BallastError
from ballast.results import metrics, notes, statistics
from ballast.results.markup import MISSING, Cell, Table, plus_minus
from ballast.results.names import REFERENCES, in_order, short_label
from ballast.results.options import Options


def categories(options: Options, paths: Sequence[str]) -> Table:
    """Harm by category (columns) of each sampler and n (rows), and the worst category with its interval."""
    data = by_category(metrics.read_scores(paths[0]), "harm", options, paths[0])
    present = sorted(data["category"].unique())
    body = []
    for (sampler, n), rows in data.groupby(["sampler", "n"], sort=False):
        row = rows.set_index("category")
        cells = [_cell(row.loc[each]) if each in row.index else Cell(MISSING) for each in present]
        worst = rows[rows["worst"]].iloc[0]
        half = worst["high_two_way"] - worst["mean"]
        body.append(
            [Cell(short_label(sampler)), Cell(str(n) if sampler not in REFERENCES else MISSING), *cells]
            + [Cell(f"no. {worst['category']}, {plus_minus(worst['mean'], half)}"), Cell(str(rows["prompts"].min()))]
        )
    caption = (
        f"Harm by category of {options.model_label(options.experiment.models[0])} (the mean score, 0 to 4; lower is "
        "better). Bold: the worst category of a row, shown again with its interval; fewest: prompts of the smallest "
        "category."
    )
    alone = int((data["interval_over"] == statistics.PROMPTS_ONLY).sum())
    said = [
        "Categories: " + "; ".join(f"{each} {title(each)}" for each in present) + ".",
        "± is the half-width of the 95 % interval of the two-way bootstrap over runs and prompts, no SD, SE or "
        "t-interval over runs. It is not widened for the worst having been chosen among all.",
        *([f"{alone} of {len(data)} intervals are of one run and so over prompts only."] if alone else []),
        *notes.judged_by(options),
        *notes.synthetic(options),
    ]
    header = ["Sampler", "n", *map(str, present), "Worst", "Fewest"]
    columns = ["l", "l", *"c" * len(present), "l", "c"]
    return Table("Categories", caption, header, body, said, data, columns)


def by_category(scores: pd.DataFrame, name: str, options: Options, path: str) -> pd.DataFrame:
    """One row per sampler, n and category: mean, se, two-way interval, runs, prompts, and whether it is the worst.

    Samplers stand in the paper's order. Raises BallastError where no prompt has a category.
    """
    prompts = scores.dropna(subset="category").drop_duplicates(["benchmark", "prompt_id"])
    prompts = prompts[prompts["benchmark"] == options.benchmarks.get(name, metrics.METRICS[name].benchmark)]
    ids = prompts.groupby("category", observed=True)["prompt_id"].agg(set)
    rows = []
    cells = {(sampler, n): table for (_, _, sampler, n), table in metrics.by_prompt(scores, name, options).items()}
    for sampler in in_order(sampler for sampler, _ in cells):
        for n in sorted(n for each, n in cells if each == sampler):
            table = cells[sampler, n]
            for category in range(len(CATEGORIES)):
                found = statistics.estimate(table[[one for one in table if one in ids.get(category, ())]].to_numpy())
                if found.runs:
                    about = {"sampler": sampler, "n": n, "category": category, "title": title(category)}
                    interval = {"se": found.se, "low_two_way": found.low, "high_two_way": found.high}
                    rows.append(about | {"mean": found.mean, **interval, "interval_over": found.over})
                    rows[-1] |= {"runs": found.runs, "prompts": found.prompts}
    if not rows:
        raise BallastError(f"{path}: no prompt of {name} has a category and a score; check metrics.{name}.benchmark")
    data = pd.DataFrame(rows)
    worst = data.groupby(["sampler", "n"], sort=False)["mean"].idxmax()
    return data.assign(worst=data.index.isin(worst)).round(6)


def _cell(row: pd.Series) -> Cell:
    return Cell(plus_minus(row["mean"], math.nan), bool(row["worst"]))
