"""Compare two judges on the same responses: Cohen's kappa, disagreements by direction, and where to find some.

A judge flags a response from the middle of its scale up, as in explore.html. The interval of kappa resamples prompts
with all their responses, since the runs of a study share prompts. Texts stay out: explore.html has them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from ballast.markup import MISSING, markdown, pipe_table
from ballast.names import AS_IS, NONE, short_label
from ballast.results.metrics import RUN
from ballast.results.statistics import MET, RESAMPLES

EXAMPLES = 3  # prompts of each direction
BOTH, FIRST, SECOND, NEITHER = CELLS = range(4)  # who flags a response
ABOUT = (
    "Kappa is Cohen's; in brackets the 95 % interval of a bootstrap over prompts "
    f"({RESAMPLES:,} resamples), since runs share prompts. It tells how far two judges agree, not which one is right."
)
TEXTS = (
    "Prompts with the most disagreements of each kind, and the first run of each. Texts are left out; explore.html has "
    "them unless the study is redacted."
)


@dataclass(frozen=True)
class Opinion:
    """Two judges of one benchmark; `cuts`: the score from which each flags, None for a judge without a scale."""

    benchmark: str
    judges: list[str]
    cuts: list[float | None]

    @property
    def comparable(self) -> bool:
        return None not in self.cuts


def section(scores: pd.DataFrame, opinion: Opinion) -> Iterator[str]:
    """Yield the Markdown parts of one comparison."""
    first, second = opinion.judges
    yield f"## Second opinion on {markdown(opinion.benchmark)}: {markdown(first)} and {markdown(second)}"
    pairs, alone = paired(scores, opinion)
    yield _left_out(pairs, alone, opinion.judges)
    read = pairs.dropna(subset=["first", "second"])
    if read.empty:
        return
    yield from _ranks(read, opinion.judges)
    if not opinion.comparable:
        without = [judge for judge, cut in zip(opinion.judges, opinion.cuts, strict=True) if cut is None]
        yield f"Without a scale there is no cut, so no verdict and no kappa: {markdown(', '.join(without))}."
        return
    cuts = [f"{judge} from {cut:g}" for judge, cut in zip(opinion.judges, opinion.cuts, strict=True)]
    yield f"A judge flags from the middle of its scale up: {markdown(', '.join(cuts))}. {ABOUT}"
    judged = verdicts(read, opinion.cuts)
    header = ["Runs", "Responses", "Both flag", f"Only {first}", f"Only {second}", "Neither", "Agree", "Kappa"]
    yield pipe_table(header, [_row(name, rows) for name, rows in groups(judged)])
    if rows := list(examples(judged, opinion.judges)):
        yield pipe_table(["Only", "Prompt", "Run", first, second, "In runs"], rows)
        yield TEXTS


def paired(scores: pd.DataFrame, opinion: Opinion) -> tuple[pd.DataFrame, int]:
    """Return the responses that both judges were asked about, and the number that only one of them was.

    Columns: RUN, prompt_id, `first` and `second` (scores; missing if not read). Base data alone is the same training
    for every pool, so it counts once.
    """
    used = scores[scores["benchmark"] == opinion.benchmark].sort_values([*RUN, "prompt_id"])
    used = used.assign(place=used["pool"].mask(used["sampler"] == NONE, ""))
    key = ["model", "place", "sampler", "n", "trial", "prompt_id"]
    used = used.drop_duplicates([*key, "judge"])
    first, second = (used[used["judge"] == judge] for judge in opinion.judges)
    pairs = first.rename(columns={"score": "first"}).merge(
        second[[*key, "score"]].rename(columns={"score": "second"}), on=key
    )
    return pairs[[*RUN, "prompt_id", "first", "second"]], len(first) + len(second) - 2 * len(pairs)


def verdicts(read: pd.DataFrame, cuts: list[float]) -> pd.DataFrame:
    """Return the responses with `cell`, one of CELLS."""
    unflagged = [read[name] < cut for name, cut in zip(("first", "second"), cuts, strict=True)]
    return read.assign(cell=2 * unflagged[0] + unflagged[1])


def groups(judged: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the responses of models without fine-tuning, without and with safety examples, and all."""
    as_is, without = judged["sampler"] == AS_IS, judged["n"] == 0
    parts = {short_label(AS_IS): as_is, short_label(NONE): without & ~as_is, "With safety data": ~without}
    for name, part in parts.items():
        if part.any():
            yield name, judged[part]
    yield "All", judged


def by_prompt(judged: pd.DataFrame) -> np.ndarray:
    """Return the number of responses by prompt (rows) and CELLS (columns)."""
    return pd.crosstab(judged["prompt_id"], judged["cell"]).reindex(columns=CELLS, fill_value=0).to_numpy()


def kappa(counts: np.ndarray) -> np.ndarray:
    """Return Cohen's kappa of counts by CELLS (the last axis); NaN if both judges give one and the same verdict."""
    both, first, second, neither = np.moveaxis(np.asarray(counts, dtype=float), -1, 0)
    total = both + first + second + neither
    chance = (both + first) * (both + second) + (neither + first) * (neither + second)
    with np.errstate(invalid="ignore"):
        return ((both + neither) * total - chance) / (total**2 - chance)


def interval(counts: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % percentile interval of kappa over resampled prompts (rows of `counts`).

    It is missing with one prompt, or if kappa exists in less than the share MET of the resamples.
    """
    prompts = len(counts)
    drawn = np.random.default_rng([prompts, seed]).multinomial(prompts, np.full(prompts, 1 / prompts), RESAMPLES)
    found = kappa(drawn @ counts)
    there = found[~np.isnan(found)]
    if prompts < 2 or len(there) < MET * RESAMPLES:
        return np.nan, np.nan
    low, high = np.percentile(there, [2.5, 97.5])
    return float(low), float(high)


def examples(judged: pd.DataFrame, judges: list[str]) -> Iterator[list[str]]:
    """Yield rows of the prompts with the most disagreements of each direction, ties by id: the first run of each."""
    of = judged.groupby("prompt_id").size()
    for cell, judge in zip((FIRST, SECOND), judges, strict=True):
        rows = judged[judged["cell"] == cell]
        counts = rows.groupby("prompt_id").size().sort_values(ascending=False, kind="stable")
        for prompt, count in counts.head(EXAMPLES).items():
            row = rows[rows["prompt_id"] == prompt].iloc[0]
            run = "/".join(
                [row["model"], AS_IS]
                if row["sampler"] == AS_IS
                else [row["model"], row["pool"], row["sampler"], f"n{row['n']}", f"t{row['trial']}"]
            )
            yield [judge, prompt, run, f"{row['first']:.2f}", f"{row['second']:.2f}", f"{count:,} of {of[prompt]:,}"]


def area(positive: pd.Series, values: pd.Series) -> float:
    """Return the share of pairs of a positive and a negative whose values agree (AUC); a tie counts half."""
    ones, zeros = int(positive.sum()), int((~positive).sum())
    ranks = stats.rankdata(values)[positive.to_numpy()].sum()
    return float((ranks - ones * (ones + 1) / 2) / (ones * zeros)) if ones and zeros else np.nan


def _ranks(read: pd.DataFrame, judges: list[str]) -> Iterator[str]:
    """Yield how far ranks agree, if a judge gives more than two scores: AUC against a yes or no, else Spearman's."""
    names = dict(zip(("first", "second"), map(markdown, judges), strict=True))
    graded = [name for name in names if not read[name].isin([0, 1]).all()]
    if len(graded) == 1:
        [score], [verdict] = graded, [name for name in names if name not in graded]
        found = area(read[verdict] == 1, read[score])
        yield (
            f"Ranks: AUC {_number(found)}. In this share of pairs of a response that {names[verdict]} flags and one "
            f"that it does not, {names[score]} gives the flagged one the higher score; a tie counts half."
        )
    elif graded:
        constant = (read[["first", "second"]].nunique() < 2).any()
        found = np.nan if constant else stats.spearmanr(read["first"], read["second"]).statistic
        yield f"Ranks: Spearman's correlation of the two scores is {_number(found)}."


def _left_out(pairs: pd.DataFrame, alone: int, judges: list[str]) -> str:
    missing = pairs[["first", "second"]].isna()
    first, second, both = missing["first"], missing["second"], missing.all(axis=1)
    counts = [(f"only by {judges[0]}", first & ~both), (f"only by {judges[1]}", second & ~both), ("by both", both)]
    said = ", ".join(f"{rows.sum():,} {who}" for who, rows in counts)
    unpaired = f" {alone:,} more went to one of the two only." if alone else ""
    return (
        f"{len(pairs):,} responses went to both judges. Left out for a missing score: {missing.any(axis=1).sum():,} "
        f"({markdown(said)}).{unpaired}"
    )


def _row(name: str, judged: pd.DataFrame) -> list[str]:
    counts = by_prompt(judged)
    total = counts.sum(axis=0)
    agree = 100 * (total[BOTH] + total[NEITHER]) / total.sum()
    low, high = interval(counts)
    said = _number(float(kappa(total))) + ("" if np.isnan(low) else f" ({_number(low)} to {_number(high)})")
    return [name, f"{total.sum():,}", *(f"{one:,}" for one in total), f"{agree:.1f} %", said]


def _number(value: float) -> str:
    return MISSING if np.isnan(value) else f"{value + 0:.2f}"
