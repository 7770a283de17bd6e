"""Compare all methods of an experiment, beyond the paper: at equal n and at equal over-refusal."""

from collections.abc import Sequence

import pandas as pd

from ballast.markup import MISSING, Cell, Table, with_interval
from ballast.names import AS_IS, REFERENCES, sampler_label, short_label
from ballast.results import contrasts, metrics, notes, statistics
from ballast.results.all_methods import AT_EQUAL_N, AT_EQUAL_REFUSAL, MEAN, TO_NONE, compared, control_of, middle
from ballast.study.artefacts import Options

EXPERIMENT = "beyond"
METRICS = ("harm", "asr", "over_refusal", "helpfulness")
ONE = ("models", "pools")
SHOWN = ["value", *metrics.TWO_WAY[:2]]


def table(options: Options, paths: Sequence[str]) -> Table:
    """Return one row per method: its metrics at the middle n, what it changes, and its harm at equal over-refusal."""
    data = compared(options, paths)
    n, control = middle(options), control_of(data)
    found = {name: metrics.metric(name, options) for name in options.judges}
    at = data[data["n"].notna()].set_index(["row", "metric", "sampler", "n"])
    shown = [name for name in dict.fromkeys(data["sampler"]) if name != AS_IS]
    body = []
    for name in shown:
        size = n if (MEAN, "harm", name, n) in at.index else 0
        cells = [_cell(at, (MEAN, metric, name, size), found) for metric in options.judges]
        body.append(
            [
                Cell(sampler_label(name) if size or name in REFERENCES else f"{sampler_label(name)} (n = 0)"),
                cells[0],
                *(_cell(at, (row, "harm", name, size), found) for row in (AT_EQUAL_N, TO_NONE)),
                *cells[1:],
                _equal_refusal(data, name),
            ]
        )
    header = ["Method", found["harm"].axis_label, "Minus Random", "Minus no safety data"]
    header += [found[metric].axis_label for metric in list(options.judges)[1:]]
    header += [
        f"Harm at equal over-refusal, minus {short_label(control)}'s" if control else "Harm at equal over-refusal"
    ]
    caption = (
        f"All methods on {options.model_label(options.experiment.models[0])} with n = {n} safety examples; the CSV has "
        f"every n. Bold: Holm-adjusted p below {contrasts.LEVEL}. Less harm, attack success and over-refusal is better."
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
    return Cell(with_interval(*row[SHOWN]), bool(row["p_holm"] < contrasts.LEVEL))


def _cell(at: pd.DataFrame, key: tuple, found: dict[str, metrics.Metric]) -> Cell:
    if key not in at.index:
        return Cell(MISSING)
    row = at.loc[key]
    decimals = found[key[1]].decimals
    return Cell(with_interval(*row[SHOWN], decimals), bool(row["p_holm"] < contrasts.LEVEL))


def verdict(data: pd.DataFrame, n: int) -> str:
    """Return a paragraph: methods better than the control, methods that are not, methods that cannot be compared."""
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
    """Return the methods, grouped by where their interval lies."""
    known = rows["two_way_over"] != statistics.PROMPTS_ONLY
    low, high = rows["low_two_way"].where(known), rows["high_two_way"].where(known)
    groups = {
        "less, after Holm's adjustment too": (high < 0) & (rows["p_holm"] < contrasts.LEVEL),
        "less, by the interval alone": (high < 0) & ~(rows["p_holm"] < contrasts.LEVEL),
        "not better, since the interval includes 0": (low <= 0) & (high >= 0),
        "more": low > 0,
        "unknown, for want of an interval": rows["value"].notna() & low.isna(),
        "not compared, since no two of its n enclose it": rows["value"].isna(),
    }
    named = {what: [short_label(name) for name in rows.loc[which, "sampler"]] for what, which in groups.items()}
    return "; ".join(f"{what}: {', '.join(names)}" for what, names in named.items() if names)
