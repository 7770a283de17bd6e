"""Contrast each sampler with its controls at each n, beyond the paper."""

from collections.abc import Sequence

import pandas as pd

from ballast.markup import MISSING, Cell, Table, with_interval
from ballast.names import RANDOM, in_order, short_label
from ballast.results import contrasts, metrics, notes, statistics
from ballast.results.statistics import NOTHING
from ballast.study.artefacts import Options

EXPERIMENT = "sampling"
METRICS = ("harm", "asr", "over_refusal", "helpfulness")
ONE = ("models", "pools")


def table(options: Options, paths: Sequence[str]) -> Table:
    """Return every sampler minus Random, and each -b sampler minus Random-B and minus its parent, at every n."""
    scores = metrics.read_scores(paths)
    every = contrasts.measured(scores, options, paths[0])
    data = pd.concat([_contrasts(cells, name) for name, cells in every.items()], ignore_index=True)
    sizes = sorted(options.experiment.n)
    groups = data.groupby(["metric", "control", "sampler"], sort=False)
    body = []
    for (name, _, sampler), rows in groups:
        by_n = rows.set_index("n")
        cells = [
            _difference(by_n.loc[n], metrics.metric(name, options).decimals) if n in by_n.index else Cell(MISSING)
            for n in sizes
        ]
        body.append(
            [
                Cell(metrics.metric(name, options).axis_label),
                Cell(f"{short_label(sampler)} against {short_label(rows['against'].iloc[0])}"),
                *cells,
            ]
        )
    caption = (
        f"Contrasts of {options.model_label(options.experiment.models[0])} by n (columns): sampler minus control. "
        f"Bold: Holm-adjusted p below {contrasts.LEVEL}."
    )
    said = [
        contrasts.PAIRED,
        *contrasts.shared_runs(data),
        "Holm's adjustment is over a family: all samplers and n of one metric and one kind of control (Random; "
        f"Random-B; {contrasts.PARENT}). The CSV names it and has SE, interval, p, adjusted p and shared runs of each "
        "contrast.",
        *notes.judged_by(options),
        *notes.synthetic(options),
    ]
    return Table(
        "Contrasts",
        caption,
        ["Metric", "Contrast", *map(str, sizes)],
        body,
        said,
        data,
        contrasts.columns(2, len(sizes)),
    )


def _contrasts(cells: contrasts.Matrices, name: str) -> pd.DataFrame:
    samplers, sizes = in_order(sampler for sampler, _ in cells), sorted({n for _, n in cells})
    rows = []
    for kind in (RANDOM, *contrasts.CONTROLS.values(), contrasts.PARENT):
        for sampler in samplers:
            for control in (control for found, control in contrasts.against(sampler, samplers) if found == kind):
                for n in (n for n in sizes if (sampler, n) in cells and (control, n) in cells):
                    found = cells.difference((sampler, n), (control, n))
                    about = {"metric": name, "control": kind, "sampler": sampler, "against": control, "n": n}
                    rows.append(about | contrasts.columns_of(found, "difference") | {"p": contrasts.p_of(found)})
    columns = ["metric", "control", "sampler", "against", "n", *contrasts.columns_of(NOTHING, "difference"), "p"]
    found = pd.DataFrame(rows, columns=columns).astype({"difference": float, "p": float})
    adjusted = found.groupby("control", group_keys=False)["p"].transform(statistics.holm)
    return found.assign(p_holm=adjusted, family=name + ", " + found["control"]).round(6)


def _difference(row: pd.Series, decimals: int) -> Cell:
    known = bool(row["p_holm"] < contrasts.LEVEL)
    text = with_interval(row["difference"], row["low_two_way"], row["high_two_way"], decimals)
    return Cell(text, known)
