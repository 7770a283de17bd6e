"""Say which examples to add to a model whose harm is beyond its limit: by which sampler, how many, and why."""

from collections.abc import Sequence

import pandas as pd

from ballast.names import short_label
from ballast.results.metrics import METRICS, Metric

# Without a study at hand: the paper's best sampler.
SAMPLER, MODEL = "sss-b", "llama-2-7b"


def advised(paths: Sequence[str]) -> list[dict]:
    """Return sampler, n, limits and study of each results/<study>/advice.csv with advice from real models."""
    found = []
    for path in sorted(paths):
        table = pd.read_csv(path)
        rows = table[table["advised"] & ~table.get("synthetic", pd.Series(True, table.index))]
        if len(rows):
            limits = ", ".join(f"{row.limit} at most {row.at_most:g}" for row in rows.itertuples())
            first = rows.iloc[0]
            study = path.replace("\\", "/").split("/")[-2]
            found.append({"study": study, "sampler": first["sampler"], "n": int(first["n"]), "limits": limits})
    return found


def paragraphs(options: dict, harm: Metric, limit: float, published: pd.DataFrame, advice: list[dict]) -> list[str]:
    """Return the last part of the page.

    `options`: study, pool, configfiles. `published`: the cells of the paper's tables.
    """
    n, reason = _by_paper(harm, limit, published)
    sampler, said = SAMPLER, [reason]
    if advice:
        sampler, n = advice[0]["sampler"], advice[0]["n"]
        said = [
            f"Study `{one['study']}` here advises {one['n']} by {short_label(one['sampler'])}: the fewest within "
            f"{one['limits']}."
            for one in advice
        ] + [reason]
    study, pool = options["study"], options["pool"]
    target = f"results/{study}/subsets/{pool}/{sampler}/n{n}/t0/subset.jsonl"
    return [
        "## What to add",
        f"Harm is beyond its limit. This picks {n} examples of the pool `{pool}` by {short_label(sampler)}:",
        f"```\nsnakemake --configfile {options['configfiles']} -- {target}\n```",
        *said,
        "Add them to your data, fine-tune again, and measure that model too: the number depends on model and data.",
    ]


def _by_paper(harm: Metric, limit: float, published: pd.DataFrame) -> tuple[int, str]:
    """Return the number of examples that the paper's Table 1 suggests for a limit, and the reason."""
    mine = published[(published["table"] == "1") & (published["model"] == MODEL) & (published["sampler"] == SAMPLER)]
    by_n = mine.set_index("n")["mean"].sort_index()
    start, reached = f"In the paper's Table 1 (Llama 2 7B) {short_label(SAMPLER)}", by_n[by_n <= limit]
    if harm.unit == METRICS["harm"].unit and len(reached):
        return int(
            reached.index[0]
        ), f"{start} reaches {reached.iloc[0]:.2f} with {reached.index[0]}, the fewest there."
    middle = int(by_n.index[(len(by_n) - 1) // 2])
    return middle, (
        f"{start} goes from {by_n.iloc[0]:.2f} with {by_n.index[0]} to {by_n.iloc[-1]:.2f} with {by_n.index[-1]} "
        f"({harm.label.lower()}, {METRICS['harm'].unit}); {middle} is the middle of its grid, not a promise for yours."
    )
