"""Write a table as Markdown for the report and as LaTeX (booktabs) for the paper."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from tabulate import tabulate

from ballast.names import MISSING

DECIMALS = 2
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~$&])")
_SPACES = re.compile(r"\s+")
_TEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "—": "---",
    "…": r"\ldots{}",
    "±": r"$\pm$",
    **{sign: f"\\{sign}" for sign in "#$%&_"},
}


@dataclass(frozen=True)
class Cell:
    """A table's cell; the best of its column is bold."""

    text: str
    best: bool = False


@dataclass(frozen=True)
class Table:
    """A table before markup. In `caption` and `notes`, `code` is between backticks; cells are plain text."""

    name: str  # "Table 1"
    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str]
    data: pd.DataFrame  # the CSV's rows, in long form
    columns: Sequence[str]  # LaTeX column types


def markdown(text: str) -> str:
    """Escape plain text for a Markdown table cell: no markup, no line breaks."""
    return _SPACES.sub(" ", _MARKDOWN.sub(r"\\\1", text))


def tex(text: str) -> str:
    """Escape plain text for LaTeX: no commands."""
    return "".join(_TEX.get(character, character) for character in _SPACES.sub(" ", text))


def with_interval(mean: float, low: float = math.nan, high: float = math.nan, decimals: int = DECIMALS) -> str:
    """Return `mean ± half-width`, or `mean (low to high)` if the interval is not symmetric.

    Without an interval it is the mean alone, without a mean MISSING.
    """
    if math.isnan(mean):
        return MISSING
    # Adding 0 turns -0.00 into 0.00.
    text, *ends = (f"{round(value, decimals) + 0:.{decimals}f}" for value in (mean, low, high))
    if math.isnan(low):
        return text
    # A CSV's numbers are rounded to six decimals.
    if abs((high - mean) - (mean - low)) < 1e-5:
        return f"{text} ± {high - mean:.{decimals}f}"
    return f"{text} ({' to '.join(ends)})"


def pipe_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table of plain text."""
    spelled = [[markdown(str(cell)) for cell in row] for row in rows]
    return tabulate(spelled, [markdown(name) for name in header], tablefmt="pipe", disable_numparse=True)


def to_markdown(table: Table) -> str:
    rows = [[f"**{markdown(cell.text)}**" if cell.best else markdown(cell.text) for cell in row] for row in table.rows]
    header = [markdown(name) for name in table.header]
    sides = ["center" if column == "c" else "left" for column in table.columns]
    grid = tabulate(rows, header, tablefmt="pipe", disable_numparse=True, colalign=sides if rows else None)
    notes = "\n".join(f"- {note}" for note in table.notes)
    return f"**{table.name}.** {table.caption}\n\n{grid}\n\n{notes}\n"


def to_tex(table: Table) -> str:
    rows = [[rf"\textbf{{{tex(cell.text)}}}" if cell.best else tex(cell.text) for cell in row] for row in table.rows]
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table*}[t]",
        r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
        rf"\begin{{tabular}}{{{''.join(table.columns)}}}",
        r"\toprule",
        " & ".join(tex(name) for name in table.header) + r" \\",
        r"\midrule",
        *(" & ".join(row) + r" \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
        rf"\caption{{{' '.join(_tex_code(text) for text in (table.caption, *table.notes))}}}",
        rf"\label{{tab:ballast-{table.name.lower().replace(' ', '-')}}}",
        r"\end{table*}",
    ]
    return "\n".join(lines) + "\n"


def _tex_code(text: str) -> str:
    """Return the LaTeX of a sentence with `code` between backticks."""
    parts = text.split("`")
    return "".join(rf"\texttt{{{tex(part)}}}" if inside % 2 else tex(part) for inside, part in enumerate(parts))
