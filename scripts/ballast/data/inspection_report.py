"""Write an inspection as a Markdown page; it never holds the text of a row."""

from collections.abc import Sequence

from ballast.data import leaks, overlap
from ballast.data.inspection import NEAR, Dataset, Inspection, languages
from ballast.markup import pipe_table

QUANTILES = {"least": 0, "5 %": 0.05, "median": 0.5, "95 %": 0.95, "most": 1}


def report(inspection: Inspection, study: str) -> str:
    """Return the Markdown document."""
    stops = inspection.stops()
    parts = [f"# What {study} is made of\n"]
    parts.append("**Stops the study:**\n" if stops else "Nothing here stops the study.\n")
    parts += [_bullets(stops)] if stops else []
    remarks = [finding.said for finding in inspection.findings if not finding.stops]
    parts += ["Worth knowing:\n", _bullets(remarks)] if remarks else []
    parts += ["## As it was understood\n", _understood(inspection.datasets)]
    parts += ["## Rows: all, left out by reason, used\n", _counted(inspection.datasets)]
    parts += ["## Lengths in characters\n", _lengths(inspection.datasets)]
    parts += ["## Languages, by ISO 639 code\n", _languages(inspection.datasets)]
    parts += ["## Prompts of benchmarks in the data\n", _shared(inspection)]
    parts.append(
        "Exact: the request, Alpaca's instruction or input, or a turn equals the prompt, but for case and punctuation. "
        f"Within: a longer text holds it (prompts of {leaks.WORDS} words and more). "
        f"Near: TF-IDF cosine of {overlap.NEAR} at least. "
        "`leaks.csv` lists the rows. Rows count from 0.\n"
    )
    return "\n".join(parts)


def _understood(datasets: Sequence[Dataset]) -> str:
    rows = []
    for data in datasets:
        columns = ", ".join(f"{part} = {column}" for part, column in data.columns.items()) or "-"
        rows.append([data.name, data.path, data.form, columns])
    return pipe_table(["dataset", "file", "form", "columns"], rows) + "\n"


def _counted(datasets: Sequence[Dataset]) -> str:
    """Return each file's rows: all, left out by reason, and used; they add up."""
    reasons = list(dict.fromkeys(why for data in datasets for why, count in data.left_out.items() if count))
    rows = []
    for data in datasets:
        counts = [data.left_out.get(why, 0) for why in reasons]
        rows.append([data.name, *map(_number, [data.records, *counts, data.records - sum(counts)])])
    return pipe_table(["dataset", "rows", *reasons, "used"], rows) + "\n"


def _lengths(datasets: Sequence[Dataset]) -> str:
    rows = []
    for data in datasets:
        for part in ("request", "response") if len(data.rows) else ():
            lengths = data.rows[part].str.len().quantile(list(QUANTILES.values()), interpolation="nearest")
            rows.append([data.name, part, *(_number(int(length)) for length in lengths)])
    return pipe_table(["dataset", "part", *QUANTILES], rows) + "\n"


def _languages(datasets: Sequence[Dataset]) -> str:
    rows = []
    for data in datasets:
        shares = languages(data) if len(data.rows) else {}
        rows.append([data.name, ", ".join(f"{name} {share:.1%}" for name, share in shares.items())])
    return pipe_table(["dataset", "share of rows"], rows) + "\n"


def _shared(inspection: Inspection) -> str:
    rows = []
    for data in inspection.datasets:
        for name, size in inspection.benchmarks.items():
            both = inspection.leaks[
                (inspection.leaks["dataset"] == data.name) & (inspection.leaks["benchmark"] == name)
            ]
            kinds = (leaks.EXACT, leaks.WITHIN, NEAR)
            counts = [both.loc[both["kind"] == kind, "id"].nunique() for kind in kinds]
            rows.append([data.name, name, *map(_number, [size, *counts])])
    return pipe_table(["dataset", "benchmark", "prompts", "exact", "within", "near"], rows) + "\n"


def _bullets(sentences: Sequence[str]) -> str:
    return "".join(f"- {sentence}\n" for sentence in sentences)


def _number(value: int) -> str:
    return f"{value:,}"
