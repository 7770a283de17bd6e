"""Hold and print what the checks for signatures of trouble found: verdict, numbers, and what to try."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from ballast.markup import markdown, pipe_table

FINE, LOOK, UNDECIDED = "fine", "look", "not decidable"


@dataclass(frozen=True)
class Finding:
    """The result of one check. `measured` against `threshold` decides the verdict."""

    signature: str
    verdict: str
    numbers: str
    to_try: str
    measured: float = math.nan
    threshold: float = math.nan
    details: list[str] = field(default_factory=list)  # one line per detail, on the page only


def table(findings: Sequence[Finding]) -> pd.DataFrame:
    """Return one row per signature, six decimals."""
    columns = ["signature", "verdict", "measured", "threshold", "numbers", "to_try"]
    rows = [[getattr(finding, column) for column in columns] for finding in findings]
    return pd.DataFrame(rows, columns=columns).round(6)


def closing(findings: Sequence[Finding]) -> str:
    """Return the lines that end a run: signatures to look at and what to try, then those fine and those undecided."""
    looked = [finding for finding in findings if finding.verdict == LOOK]
    lines = [f"Signatures of trouble: {len(looked)} of {len(findings)} to look at"]
    lines += [f"- {finding.signature}: {finding.numbers}. Try: {finding.to_try}." for finding in looked]
    for verdict in (FINE, UNDECIDED):
        named = [finding.signature for finding in findings if finding.verdict == verdict]
        lines += [f"- {verdict}: {'; '.join(named)}"] if named else []
    return "\n".join(lines) + "\n"


def to_markdown(findings: Sequence[Finding], study: str, notes: Sequence[str]) -> str:
    """Return the page: every signature in a table, then the details of those that have some."""
    header = ["Signature", "Verdict", "Numbers", "Try"]
    grid = [[finding.signature, finding.verdict, finding.numbers, finding.to_try] for finding in findings]
    parts = [f"# Signatures of trouble in study {markdown(study)}", pipe_table(header, grid)]
    for finding in findings:
        if finding.details:
            listed = "\n".join(f"- {markdown(line)}" for line in finding.details)
            parts += [f"## {markdown(finding.signature)}", listed]
    parts += ["\n".join(f"- {note}" for note in notes)] if notes else []
    return "\n\n".join(parts) + "\n"
