"""Beyond the paper: all methods of an experiment, at equal n and at equal over-refusal.

Adding refusals lowers harm and raises over-refusal, so a method may look better at one n merely for refusing more.
Beside the comparison at equal n stands harm where a method over-refuses as much as the control does halfway between its
smallest and its largest n, found on straight lines between each one's own n, never beyond them.
"""

from collections.abc import Sequence

import pandas as pd

from ballast.files import BallastError
from ballast.markup import MISSING, Cell, Table, plus_minus
from ballast.names import AS_IS, NONE, RANDOM, REFERENCES, in_order, sampler_label, short_label
from ballast.results import metrics, notes, statistics
from ballast.results.contrasts import LEVEL, RANDOM_B, Matrices, columns_of
from ballast.results.metrics import METRICS
from ballast.study.artefacts import Options

# What a row of the CSV says.
MEAN, AT_EQUAL_N, TO_NONE, AT_EQUAL_REFUSAL = "mean", "minus random", "minus none", "at equal over-refusal"
DIFFERENCES = (AT_EQUAL_N, TO_NONE, AT_EQUAL_REFUSAL)
COLUMNS = ["row", "metric", "sampler", "n", "against", *columns_of(statistics.NOTHING, "value"), "p"]
DECIMALS = {"%": 1, "reward": 3}


def beyond(options: Options, paths: Sequence[str]) -> Table:
    """A row a method: its metrics at the middle n, what it changes, and its harm at equal over-refusal."""
    data = compared(options, paths[0])
    n, control = middle(options), control_of(data)
    at = data[data["n"].notna()].set_index(["row", "metric", "sampler", "n"])
    shown = [name for name in dict.fromkeys(data["sampler"]) if name != AS_IS]
    body = []
    for name in shown:
        size = n if (MEAN, "harm", name, n) in at.index else 0
        cells = [_cell(at, (MEAN, metric, name, size)) for metric in options.judges]
        body.append(
            [
                Cell(sampler_label(name) if size or name in REFERENCES else f"{sampler_label(name)} (n = 0)"),
                cells[0],
                *(_cell(at, (row, "harm", name, size)) for row in (AT_EQUAL_N, TO_NONE)),
                *cells[1:],
                _equal_refusal(data, name),
            ]
        )
    header = ["Method", METRICS["harm"].axis_label, "Minus Random", "Minus no safety data"]
    header += [METRICS[metric].axis_label for metric in list(options.judges)[1:]]
    header += [
        f"Harm at equal over-refusal, minus {short_label(control)}'s" if control else "Harm at equal over-refusal"
    ]
    caption = (
        f"All methods on {options.model_label(options.experiment.models[0])} with n = {n} safety examples; the CSV has "
        f"every n. Bold: Holm-adjusted p below {LEVEL}. Less harm, attack success and over-refusal is better."
    )
    said = [
        verdict(data, n),
        "± is the half-width of the 95 % interval of the two-way bootstrap over runs and prompts; a difference is "
        "paired over the trials that both have, whose seeds are shared, and over prompts.",
        *_equal_refusal_notes(data, options),
        "Holm's adjustment is over a family: all methods, and n, of one metric and one kind of difference.",
        *notes.judged_by(options),
        *notes.synthetic(options),
    ]
    return Table("Beyond", caption, header, body, said, data, ["l", *"c" * (len(header) - 1)])


def middle(options: Options) -> int:
    sizes = sorted(options.experiment.n)
    return sizes[(len(sizes) - 1) // 2]


def control_of(data: pd.DataFrame) -> str | None:
    """The sampler whose over-refusal at the middle n the others are compared at; None where there is none."""
    against = data.loc[data["row"] == AT_EQUAL_REFUSAL, "against"]
    return None if against.empty else against.iloc[0]


def compared(options: Options, path: str) -> pd.DataFrame:
    """COLUMNS, `p_holm` and `family`, and of equal over-refusal `level`, `met`, `least`, `most`, in long form.

    A row is a method's mean at an n; the same minus Random's at that n or minus base data's alone; or its harm where
    over-refusal is `level`, halfway on the control's path, minus the control's (`against`) there. Of that, `met` is the
    share of resamples in which the method over-refuses so, and `least` and `most` are the ends of what its n cover.
    """
    scores = metrics.read_scores(path)
    measured = {name: metrics.by_sampler(scores, name, options) for name in options.judges}
    if all(sampler in REFERENCES for cells in measured.values() for sampler, _ in cells):
        raise BallastError(f"{path}: no run of the experiment has a score; check its samplers and n in the config")
    rows = []
    for metric, cells in measured.items():
        for sampler, n in _ordered(cells, options):
            ours = cells[sampler, n]
            about = {"metric": metric, "sampler": sampler, "n": n}
            rows.append({"row": MEAN} | about | columns_of(statistics.estimate(ours.to_numpy()), "value"))
            for row, other in ((AT_EQUAL_N, (RANDOM, n)), (TO_NONE, (NONE, 0))):
                if other in cells and sampler not in (other[0], AS_IS):
                    found = statistics.difference(ours, cells[other])
                    against = {"against": other[0], "p": found.p}
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
        about |= {"least": min(costs[sampler]), "most": max(costs[sampler]), "p": found.p}
        rows.append(about | columns_of(found, "value"))
    return rows


def _mean(table: pd.DataFrame) -> float:
    return statistics.estimate(table.to_numpy()).mean


def verdict(data: pd.DataFrame, n: int) -> str:
    """One paragraph: which methods are better than the control, which are not, and which cannot be compared."""
    said = []
    harm = data[(data["metric"] == "harm") & ~data["sampler"].isin(REFERENCES)]
    equal_n = harm[(harm["row"] == AT_EQUAL_N) & (harm["n"] == n)]
    if not equal_n.empty:
        said.append(f"Harm with n = {n} against Random's: {_sorted_out(equal_n)}.")
    equal = harm[harm["row"] == AT_EQUAL_REFUSAL]
    if not equal.empty:
        level, control = equal["level"].iloc[0], short_label(equal["against"].iloc[0])
        said.append(f"Where over-refusal is {level:.1f} %, against {control}'s harm there: {_sorted_out(equal)}.")
    return " ".join(said) or "There is no Random to compare with."


def _sorted_out(rows: pd.DataFrame) -> str:
    """Methods by what their interval says."""
    known = rows["two_way_over"] != statistics.PROMPTS_ONLY
    low, high = rows["low_two_way"].where(known), rows["high_two_way"].where(known)
    groups = {
        "less, after Holm's adjustment too": (high < 0) & (rows["p_holm"] < LEVEL),
        "less, by the interval alone": (high < 0) & ~(rows["p_holm"] < LEVEL),
        "not better, since the interval includes 0": (low <= 0) & (high >= 0),
        "more": low > 0,
        "unknown, for want of an interval": rows["value"].notna() & low.isna(),
        "not compared, since no two of its n enclose it": rows["value"].isna(),
    }
    named = {what: [short_label(name) for name in rows.loc[which, "sampler"]] for what, which in groups.items()}
    return "; ".join(f"{what}: {', '.join(names)}" for what, names in named.items() if names)


def _equal_refusal_notes(data: pd.DataFrame, options: Options) -> list[str]:
    rows = data[data["row"] == AT_EQUAL_REFUSAL]
    if rows.empty:
        return ["Nothing is compared at equal over-refusal: there is no second method beside Random-B or Random."]
    sizes, control = sorted(options.experiment.n), short_label(rows["against"].iloc[0])
    return [
        f"Equal over-refusal: {rows['level'].iloc[0]:.1f} %, halfway between that of {control} with n = {sizes[0]} and "
        f"with n = {sizes[-1]}. Harm there is read off the straight lines between each one's own n, at the largest n "
        "that over-refuses so; a range in brackets is what a method's n cover where that is not in it. Trials and "
        "prompts are drawn anew for both, and the level with them; where under "
        f"{100 * statistics.MET:.0f} % of the draws meet it there is no interval."
    ]


def _equal_refusal(data: pd.DataFrame, name: str) -> Cell:
    rows = data[(data["row"] == AT_EQUAL_REFUSAL) & (data["sampler"] == name)]
    if rows.empty:
        return Cell(MISSING)
    row = rows.iloc[0]
    if pd.isna(row["value"]):
        return Cell(f"{MISSING} [{row['least']:.1f} to {row['most']:.1f} %]")
    return Cell(plus_minus(row["value"], row["value"] - row["low_two_way"]), bool(row["p_holm"] < LEVEL))


def _cell(at: pd.DataFrame, key: tuple) -> Cell:
    if key not in at.index:
        return Cell(MISSING)
    row = at.loc[key]
    decimals = DECIMALS.get(METRICS[key[1]].unit, 2)
    return Cell(plus_minus(row["value"], row["value"] - row["low_two_way"], decimals), bool(row["p_holm"] < LEVEL))


def _ordered(cells: Matrices, options: Options) -> list[tuple[str, int]]:
    """Cells as the paper's samplers stand, then the methods as the config lists them, each by n."""
    order = in_order([*REFERENCES, *options.experiment.samplers])
    return sorted(cells, key=lambda cell: (order.index(cell[0]), cell[1]))
