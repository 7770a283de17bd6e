"""A signature of trouble as it was found: its verdict, the numbers, and what to try."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from ballast.markup import markdown, pipe_table

FINE, LOOK, UNDECIDED = "fine", "look", "not decidable"


@dataclass(frozen=True)
class Finding:
    """What one check found. `measured` beside `threshold` is the number that the verdict goes by."""

    signature: str
    verdict: str
    numbers: str
    to_try: str
    measured: float = math.nan
    threshold: float = math.nan
    details: list[str] = field(default_factory=list)  # a line each, on the page only


def table(findings: Sequence[Finding]) -> pd.DataFrame:
    """One row a signature, six decimals."""
    columns = ["signature", "verdict", "measured", "threshold", "numbers", "to_try"]
    rows = [[getattr(finding, column) for column in columns] for finding in findings]
    return pd.DataFrame(rows, columns=columns).round(6)


def closing(findings: Sequence[Finding]) -> str:
    """The lines that end a run: what to look at with what to try, then what is fine and what cannot be decided."""
    looked = [finding for finding in findings if finding.verdict == LOOK]
    lines = [f"Signatures of trouble: {len(looked)} of {len(findings)} to look at"]
    lines += [f"- {finding.signature}: {finding.numbers}. Try: {finding.to_try}." for finding in looked]
    for verdict in (FINE, UNDECIDED):
        named = [finding.signature for finding in findings if finding.verdict == verdict]
        lines += [f"- {verdict}: {'; '.join(named)}"] if named else []
    return "\n".join(lines) + "\n"


def to_markdown(findings: Sequence[Finding], study: str, notes: Sequence[str]) -> str:
    """The page: every signature in a table, then the details of those that have some."""
    header = ["Signature", "Verdict", "Numbers", "Try"]
    grid = [[finding.signature, finding.verdict, finding.numbers, finding.to_try] for finding in findings]
    parts = [f"# Signatures of trouble in study {markdown(study)}", pipe_table(header, grid)]
    for finding in findings:
        if finding.details:
            listed = "\n".join(f"- {markdown(line)}" for line in finding.details)
            parts += [f"## {markdown(finding.signature)}", listed]
    parts += ["\n".join(f"- {note}" for note in notes)] if notes else []
    return "\n\n".join(parts) + "\n"
