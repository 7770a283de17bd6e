"""Compare all methods of an experiment, beyond the paper, at equal n and at equal over-refusal.

Adding refusals lowers harm and raises over-refusal, so a method may look better at one n merely for refusing more. A
second comparison takes harm at equal over-refusal: the control's halfway between its smallest and its largest n. Harm
there is interpolated on straight lines between a method's own n, never extrapolated.
"""

from collections.abc import Sequence

import pandas as pd

from ballast.files import BallastError
from ballast.names import AS_IS, NONE, RANDOM, REFERENCES, in_order
from ballast.results import metrics, statistics
from ballast.results.contrasts import RANDOM_B, Matrices, columns_of, p_of
from ballast.study.artefacts import Options

# The kinds of row in the CSV.
MEAN, AT_EQUAL_N, TO_NONE, AT_EQUAL_REFUSAL = "mean", "minus random", "minus none", "at equal over-refusal"
DIFFERENCES = (AT_EQUAL_N, TO_NONE, AT_EQUAL_REFUSAL)
COLUMNS = ["row", "metric", "sampler", "n", "against", *columns_of(statistics.NOTHING, "value"), "p"]


def middle(options: Options) -> int:
    """Return the middle n, the smaller one of two."""
    sizes = sorted(options.experiment.n)
    return sizes[(len(sizes) - 1) // 2]


def control_of(data: pd.DataFrame) -> str | None:
    """Return the control at whose over-refusal the others are compared, or None."""
    against = data.loc[data["row"] == AT_EQUAL_REFUSAL, "against"]
    return None if against.empty else against.iloc[0]


def compared(options: Options, paths: Sequence[str]) -> pd.DataFrame:
    """Return COLUMNS, `p_holm` and `family`, and for equal over-refusal `level`, `met`, `least`, `most`, in long form.

    A row is a method's mean at an n; that mean minus Random's at the same n, or minus base data's alone; or its harm at
    the over-refusal `level`, halfway on the control's path, minus the control's (`against`) there. `met` is the share
    of resamples in which the method reaches `level`; `least` and `most` are the ends of its own over-refusal over n.
    """
    scores = metrics.read_scores(paths)
    measured = {name: metrics.by_sampler(scores, name, options) for name in options.judges}
    if all(sampler in REFERENCES for cells in measured.values() for sampler, _ in cells):
        raise BallastError(f"{paths[0]}: no run of the experiment has a score; check its samplers and n in the config")
    rows = []
    for metric, cells in measured.items():
        for sampler, n in _ordered(cells, options):
            about = {"metric": metric, "sampler": sampler, "n": n}
            rows.append({"row": MEAN} | about | columns_of(cells.estimate((sampler, n)), "value"))
            for row, other in ((AT_EQUAL_N, (RANDOM, n)), (TO_NONE, (NONE, 0))):
                if other in cells and sampler not in (other[0], AS_IS):
                    found = cells.difference((sampler, n), other)
                    against = {"against": other[0], "p": p_of(found)}
                    rows.append({"row": row} | about | columns_of(found, "value") | against)
    rows += _at_equal_refusal(measured["harm"], measured["over_refusal"], options)
    table = pd.DataFrame(rows, columns=[*COLUMNS, "level", "met", "least", "most"])
    tested = table["row"].isin(DIFFERENCES) & ~table["sampler"].isin(REFERENCES)
    table["family"] = (table["metric"] + ", " + table["row"]).where(tested)
    p = table["p"].where(tested).astype(float)
    table["p_holm"] = p.groupby(table["family"]).transform(statistics.holm)
    return table.astype({"n": "Int64"}).round(6)


def _at_equal_refusal(harm: Matrices, refusal: Matrices, options: Options) -> list[dict]:
    paths: dict[str, list[tuple]] = {}
    for cell in _ordered(harm, options):
        if cell in refusal and cell[0] not in REFERENCES:
            paths.setdefault(cell[0], []).append((harm[cell], refusal[cell]))
    control = next((name for name in (RANDOM_B, RANDOM) if name in paths), None)
    if control is None:
        return []
    rows, costs = [], {name: [_mean(cost) for _, cost in path] for name, path in paths.items()}
    for sampler in (name for name in paths if name != control):
        found, met = statistics.at_equal_cost(*zip(*paths[sampler], strict=True), *zip(*paths[control], strict=True))
        about = {"row": AT_EQUAL_REFUSAL, "metric": "harm", "sampler": sampler, "against": control}
        about |= {"level": statistics.halfway(costs[control]), "met": met}
        about |= {"least": min(costs[sampler]), "most": max(costs[sampler]), "p": p_of(found)}
        rows.append(about | columns_of(found, "value"))
    return rows


def _mean(table: pd.DataFrame) -> float:
    return statistics.estimate(table.to_numpy()).mean


def _ordered(cells: Matrices, options: Options) -> list[tuple[str, int]]:
    """Return cells in the order of the paper's samplers, then of the config's methods, each by n."""
    order = in_order([*REFERENCES, *options.experiment.samplers])
    return sorted(cells, key=lambda cell: (order.index(cell[0]), cell[1]))
