"""Write the claims of a study as a table and as a page."""

import json
import math
from collections import Counter
from collections.abc import Sequence

import pandas as pd

from ballast.claims.declared import CLAIMS
from ballast.claims.grids import Measured, Published
from ballast.claims.verdicts import FAILS, HOLDS, OPEN, Outcome
from ballast.markup import markdown
from ballast.results import notes
from ballast.study.artefacts import Options, parse_options

VERDICTS = (HOLDS, FAILS, OPEN)
NUMBER = ("value", "unit", "low", "high")
COLUMNS = (
    *("id", "source", "claim", "claimed", "published_verdict", "published_value", "published_unit", "published_reason"),
    *("study_verdict", *(f"study_{part}" for part in NUMBER), "study_reason"),
)
NOTES = (
    "Published: recomputed from the cells as the paper printed them. It never says what ± is, so a "
    "claim of significance is tested for each thing that it may be (Welch over ten runs, Holm over the claim's cells).",
    "This study: 95 % intervals, two-way over runs and prompts, paired over the trials that both samplers have; a "
    "relative change has its interval by the delta method. One run of a sampler decides nothing, since its interval is "
    "over prompts only; a model without safety data is taken as the model that it is, be it one run.",
    "A claim about one n is checked at that n alone; a claim about every n at the n of this study. A difference is "
    "the cell that should be lower minus the other; of several, the one that supports the claim least.",
)


def experiments(text: str) -> dict[str, Options]:
    """Return the options of each experiment from the JSON of the command line."""
    return {name: parse_options(f"claims-{name}", json.dumps(options)) for name, options in json.loads(text).items()}


def published(table: pd.DataFrame) -> list[Outcome]:
    """Return the outcome of each claim in the published cells."""
    return [claim.check.published(Published(table, claim.check.experiment)) for claim in CLAIMS]


def measured(scores: pd.DataFrame, options: dict[str, Options]) -> list[Outcome]:
    """Return the outcome of each claim in the study's scores."""
    grids = {name: Measured(scores, part) for name, part in options.items()}
    return [
        claim.check.study(grids[claim.check.experiment])
        if claim.check.experiment in grids
        else Outcome(OPEN, f"this study has no experiment '{claim.check.experiment}'")
        for claim in CLAIMS
    ]


def table(printed: Sequence[Outcome], ours: Sequence[Outcome]) -> pd.DataFrame:
    """Return COLUMNS, one row per claim. Values are rounded to six decimals."""
    rows = [
        (claim.id, claim.source, claim.text, claim.claimed, one.verdict, one.value, one.unit, one.said)
        + (other.verdict, other.value, other.unit, other.low, other.high, other.said)
        for claim, one, other in zip(CLAIMS, printed, ours, strict=True)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).round(6)


def page(printed: Sequence[Outcome], ours: Sequence[Outcome], options: dict[str, Options]) -> str:
    """Return the page of claims in Markdown."""
    said = [note for part in list(options.values())[:1] for note in notes.synthetic(part)]
    if options:
        first = next(iter(options.values()))
        models = ", ".join(first.model_label(model) for model in first.experiment.models)
        said.insert(0, f"Study `{first.study}`; one model's claims are checked on {models}.")
    grid = [
        [f"`{claim.id}`", f"{markdown(claim.text)} ({claim.source})", markdown(claim.claimed)]
        + [_verdict(one), _verdict(other)]
        for claim, one, other in zip(CLAIMS, printed, ours, strict=True)
    ]
    counts = [_counted("The published tables", printed), _counted("This study", ours), *_decided(ours)]
    parts = [
        "# What the publications claim, and what holds",
        "\n".join([*counts, *(f"- {note}" for note in [*said, *NOTES])]),
        _grid(["Claim", "In our words", "Claimed", "Published tables", "This study"], grid),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def listing(printed: Sequence[Outcome]) -> str:
    """Return the claims and their published outcomes as the table in docs/claims.md."""
    grid = [
        [f"`{claim.id}`", f"{markdown(claim.text)} ({claim.source})", markdown(claim.claimed), _verdict(one)]
        for claim, one in zip(CLAIMS, printed, strict=True)
    ]
    return _grid(["Claim", "In our words", "Claimed", "Published tables"], grid) + "\n"


def _grid(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _verdict(found: Outcome) -> str:
    said = "; ".join(part for part in (_number(found), markdown(found.said)) if part)
    return f"**{found.verdict}**" + (f": {said}" if said else "")


def _number(found: Outcome) -> str:
    if math.isnan(found.value):
        return ""
    if found.unit.startswith("of "):
        return f"{found.value:.0f} {found.unit}"
    span = "" if math.isnan(found.low) else f" ({found.low:.2f} to {found.high:.2f})"
    return f"{found.value + 0:.2f}{span} {found.unit}"


def _decided(findings: Sequence[Outcome]) -> list[str]:
    """Return the claims that a study decides, one line per verdict."""
    named = {
        verdict: [f"`{claim.id}`" for claim, one in zip(CLAIMS, findings, strict=True) if one.verdict == verdict]
        for verdict in (HOLDS, FAILS)
    }
    return [f"- This study, {verdict}: {', '.join(ids)}." for verdict, ids in named.items() if ids]


def _counted(whose: str, findings: Sequence[Outcome]) -> str:
    verdicts = Counter(found.verdict for found in findings)
    return f"- {whose}, {len(findings)} claims: {', '.join(f'{kind} {verdicts[kind]}' for kind in VERDICTS)}."
