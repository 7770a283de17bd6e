"""Measure judges against people's labels of drawn responses, and correct metrics and contrasts for the judges' errors.

People's label defines the truth: a response counts with the share of its annotators that say yes. The estimator is
prediction-powered (Angelopoulos et al., Science 382, 2023; with tuning, PPI++, arXiv 2311.01453), which is survey
sampling's regression estimator (Särndal, Swensson and Wretman, 1992): the mean prediction over all responses, plus the
weighted mean of people's label minus prediction over the labelled ones. The prediction is a line in the judge's score,
fitted to the labelled responses by their weights; its slope is PPI++'s tuning. An unread score is predicted by people's
mean over the labelled unread ones. The variance is that of stratified sampling without replacement. So the interval
covers the choice of the labelled responses: the runs and prompts of the study are fixed.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from ballast.labels.responses import METHOD, UNIT, UNREAD
from ballast.names import AS_IS, RANDOM, REFERENCES
from ballast.results import agreement

Z = 1.959964
FEWEST = 10  # labelled responses of a method below which no rate is estimated
HALF = 0.05  # half-width of the interval for which `needed` responses are labelled
RESAMPLES = 2000
ALL = "all"


@dataclass(frozen=True)
class Estimate:
    """A rate or a difference of rates; all but the counts are missing with too few labelled responses."""

    judge: float  # by the judge's verdicts, over the responses that it read
    people: float  # corrected
    half: float  # half-width of the 95 % interval of `people`, and of the bias
    labelled: int
    needed: int  # labelled responses for a half-width of HALF
    bounds: tuple[float, float] = (0.0, 1.0)

    @property
    def interval(self) -> tuple[float, float]:
        return max(self.people - self.half, self.bounds[0]), min(self.people + self.half, self.bounds[1])

    @property
    def bias(self) -> float:
        return self.judge - self.people


class Labelled:
    """One metric's units, and the drawn ones with people's labels.

    `units`: `responses.population` of the metric. `key`: the drawn units, with `label` from 0 to 1, missing if people
    did not say. A stratum without a label joins its neighbour, the next band of its method; `merged` counts those. For
    the variance, neighbours join until they have two labels.
    """

    def __init__(self, units: pd.DataFrame, key: pd.DataFrame):
        self.units = units
        known = key.merge(units[[*UNIT, "share", "flagged"]], on=UNIT, how="left", validate="one_to_one")
        sizes = known.drop_duplicates("stratum").set_index("stratum")["size"].sort_index()
        known = known[known["label"].notna()]
        said = known["stratum"].value_counts()
        weighed, pooled = _merged(sizes, said, 1), _merged(sizes, said, 2)
        self.merged = len(sizes) - len(set(weighed.values()))
        own = known["stratum"].map(weighed)
        weight = own.map(sizes.groupby(weighed).sum()) / own.map(own.value_counts())
        # The share of a group's units that have no label, for the finite population.
        pool = known["stratum"].map(pooled)
        rest = 1 - pool.map(pool.value_counts()) / pool.map(sizes.groupby(pooled).sum())
        self.known = known.assign(stratum=pool, weight=weight.astype(float), rest=rest.astype(float))
        self.line = self._line()
        self.residual = known["label"].to_numpy(float) - self.predicted(known)

    def _line(self) -> tuple[float, float, float]:
        """Return intercept and slope of people's label in the judge's score, and the prediction of an unread one."""
        known, weight = self.known, self.known["weight"].to_numpy(float)
        read = known["share"].notna().to_numpy()
        if not len(known):
            return 0.0, 1.0, 0.0
        mean = float(np.average(known["label"], weights=weight))
        unread = float(np.average(known["label"][~read], weights=weight[~read])) if (~read).any() else mean
        if not read.any():
            return mean, 0.0, unread
        x, y, w = known["share"][read].to_numpy(float), known["label"][read].to_numpy(float), weight[read]
        middle, height = np.average(x, weights=w), np.average(y, weights=w)
        spread = np.average((x - middle) ** 2, weights=w)
        slope = float(np.average((x - middle) * (y - height), weights=w) / spread) if spread > 0 else 0.0
        return float(height - slope * middle), slope, unread

    def predicted(self, units: pd.DataFrame) -> np.ndarray:
        intercept, slope, unread = self.line
        return (intercept + slope * units["share"]).fillna(unread).to_numpy(float)

    def rate(self, cell: dict) -> Estimate:
        """Return people's rate over the units of a cell: a value per column."""
        return self._estimate([(1.0, cell)], (0.0, 1.0))

    def difference(self, ours: dict, theirs: dict) -> Estimate:
        """Return people's rate of a cell minus that of another."""
        return self._estimate([(1.0, ours), (-1.0, theirs)], (-1.0, 1.0))

    def _estimate(self, parts: Sequence[tuple[float, dict]], bounds: tuple[float, float]) -> Estimate:
        judge = total = 0.0
        share = np.zeros(len(self.known))
        fewest, needed = math.inf, 0
        for sign, cell in parts:
            units, drawn = _in(self.units, cell), _in(self.known, cell)
            rows = self.units[units]
            judge += sign * rows["flagged"].mean()
            total += sign * self.predicted(rows).mean()
            share += sign * drawn / max(len(rows), 1)
            fewest = min(fewest, int(drawn.sum()))
            wanted = self._noise() * len(parts) * (Z / HALF) ** 2
            needed += math.ceil(wanted / (1 + wanted / max(len(rows), 1)))
        labelled = int((share != 0).sum())
        if fewest < FEWEST:
            return Estimate(judge, math.nan, math.nan, labelled, needed, bounds)
        people = total + float((self.known["weight"] * share * self.residual).sum())
        return Estimate(judge, people, self._half(share), labelled, needed, bounds)

    def _noise(self) -> float:
        """Return the variance of people's label minus prediction, of at least Z squared errors."""
        squares = float((self.residual**2).sum())
        return max(squares, Z**2) / max(len(self.residual), 1)

    def _half(self, share: np.ndarray) -> float:
        """Return the half-width of the weighted sum of the residuals times `share`.

        Labelled responses without an error do not show that there is none. As in Wilson's interval, Z squared / 4 is
        added to their squared errors, and these count as Z squared at least. A stratum with all labels has no variance.
        """
        part, used = self.known["weight"].to_numpy() * share, (share != 0) & (self.known["rest"] > 0).to_numpy()
        terms = self.known[["stratum", "rest"]].assign(z=part * self.residual, squared=part**2)
        found = terms.groupby("stratum").agg(
            n=("z", "size"), spread=("z", "var"), squared=("squared", "mean"), rest=("rest", "first")
        )
        lacking = max(Z**2 - float((self.residual[used] ** 2).sum()), Z**2 / 4) / max(used.sum(), 1)
        variance = found["n"] * found["rest"] * (found["spread"].fillna(0) + lacking * found["squared"])
        freedom = max(int((found["n"] - 1)[found["squared"] > 0].sum()), 1)
        return float(stats.t.ppf(0.975, freedom) * math.sqrt(variance.sum()))


def _in(table: pd.DataFrame, cell: dict) -> np.ndarray:
    return np.logical_and.reduce([np.isin(table[name], value) for name, value in cell.items()])


def _merged(sizes: pd.Series, said: pd.Series, least: int) -> dict[str, str]:
    """Return the group of each stratum: neighbours together, until they have `least` labels or every unit has one."""
    groups: dict[str, str] = {}
    waiting: list[str] = []
    last = None
    for stratum in sizes.index:
        waiting.append(stratum)
        found = int(said.reindex(waiting).sum())
        if found and (found >= least or found == sizes[waiting].sum()):
            last = waiting[0]
            groups |= dict.fromkeys(waiting, last)
            waiting = []
    return groups | dict.fromkeys(waiting, last or "".join(waiting[:1]))


def cells(units: pd.DataFrame) -> Iterator[dict]:
    """Yield each method's cell over all n, and one per n if it has several."""
    for key, part in units.groupby(METHOD):
        cell, sizes = dict(zip(METHOD, key, strict=True)), sorted(part["n"].unique())
        yield cell
        if len(sizes) > 1:
            yield from ({**cell, "n": int(n)} for n in sizes)


def contrasts(units: pd.DataFrame, before: str | None = None) -> Iterator[tuple[dict, dict]]:
    """Yield each method's cell with that of Random for the same model and pool: over all shared n, and per n.

    With `before`, yield each other model without fine-tuning with that one too.
    """
    models = units["model"][units["sampler"] == AS_IS].unique()
    for model in (one for one in models if before in models and one != before):
        yield tuple({"model": name, "pool": "-", "sampler": AS_IS, "n": [0]} for name in (model, before))
    there = units.groupby(METHOD)["n"].agg(set)
    for (model, pool, sampler), sizes in there.items():
        shared = sorted(sizes & there.get((model, pool, RANDOM), set()))
        if sampler in (RANDOM, *REFERENCES) or not shared:
            continue
        ours = {"model": model, "pool": pool, "sampler": sampler}
        for n in [shared, *([[one] for one in shared] if len(shared) > 1 else [])]:
            yield {**ours, "n": n}, {**ours, "sampler": RANDOM, "n": n}


def labels(answers: pd.DataFrame) -> pd.Series:
    """Return the share of annotators that say yes by id, of those that say yes or no; missing without one."""
    return answers.apply(lambda said: said.map({"yes": 1.0, "no": 0.0})).mean(axis=1)


def against_judge(labelled: Labelled) -> dict:
    """Return n, ties, agreement and kappa of people's majority and the judge's verdict, with intervals and confusion.

    Weights are those of the design, so the numbers are those of the study's responses. Intervals resample the labelled
    responses within strata. Counts are of labelled responses.
    """
    known = labelled.known
    ties = known["label"] == 0.5
    used = known[~ties & known["flagged"].notna()]
    judge, people = used["flagged"].to_numpy(float), (used["label"] > 0.5).to_numpy(float)
    cell = (2 * (1 - people) + (1 - judge)).astype(int)  # both yes, people alone, judge alone, neither
    found = {"n": len(used), "ties": int(ties.sum()), "unread": int((known["flagged"].isna() & ~ties).sum())}
    found |= dict(zip(("both", "people_only", "judge_only", "neither"), np.bincount(cell, minlength=4), strict=True))
    if not len(used):
        return found
    weight = used["weight"].to_numpy(float)
    drawn = _resampled(used["stratum"].to_numpy()) * weight
    shares = np.stack([drawn[:, cell == one].sum(axis=1) for one in range(4)], axis=1)
    own = np.bincount(cell, weights=weight, minlength=4)
    for name, measure in (("agreement", _agree), ("kappa", _kappa)):
        low, high = _ends(measure(shares))
        found |= {name: float(measure(own[None])[0]), f"{name}_low": low, f"{name}_high": high}
    low, high = wilson(found["agreement"], effective(weight))
    return found | {"agreement_low": low, "agreement_high": high, "confusion": own / own.sum()}


def _resampled(strata: np.ndarray) -> np.ndarray:
    """Return how often each labelled response is drawn in each resample within its stratum."""
    counts = np.zeros((RESAMPLES, len(strata)))
    generator = np.random.default_rng(len(strata))
    for stratum in np.unique(strata):
        rows = np.flatnonzero(strata == stratum)
        counts[:, rows] = generator.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), RESAMPLES)
    return counts


def _agree(cells_: np.ndarray) -> np.ndarray:
    return (cells_[:, 0] + cells_[:, 3]) / cells_.sum(axis=1)


def _kappa(cells_: np.ndarray) -> np.ndarray:
    """Return Cohen's kappa by row of both, people alone, judge alone, neither; NaN if all give one answer."""
    both, people, judge, neither = (cells_ / cells_.sum(axis=1, keepdims=True)).T
    chance = (both + people) * (both + judge) + (neither + people) * (neither + judge)
    return np.where(chance < 1 - 1e-12, (both + neither - chance) / np.maximum(1 - chance, 1e-12), np.nan)


def _ends(values: np.ndarray) -> tuple[float, float]:
    """Return the 95 % percentile interval; missing if more than a tenth of the resamples have no value."""
    there = values[~np.isnan(values)]
    if len(there) < 0.9 * len(values):
        return math.nan, math.nan
    low, high = np.percentile(there, [2.5, 97.5])
    return float(low), float(high)


def effective(weight: np.ndarray) -> float:
    """Return Kish's effective number of labelled responses."""
    return float(weight.sum() ** 2 / (weight**2).sum())


def wilson(rate: float, n: float) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a rate over n."""
    middle = (rate + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * math.sqrt(rate * (1 - rate) / n + Z**2 / (4 * n**2))
    return max(middle - half, 0.0), min(middle + half, 1.0)


def calibration(labelled: Labelled) -> Iterator[dict]:
    """Yield per band of the judge's score: all responses, labelled ones, mean score, and people's rate with interval.

    The rate is weighted by the design; its interval is Wilson's at the effective number of labelled responses.
    """
    for band, units in labelled.units.groupby("band"):
        known = labelled.known[labelled.known["band"] == band]
        row = {"band": band, "responses": len(units), "labelled": len(known)}
        row["score"] = float(units["score"].mean()) if band != UNREAD else math.nan
        if len(known):
            weight = known["weight"].to_numpy(float)
            row["people"] = float(np.average(known["label"], weights=weight))
            row["low"], row["high"] = wilson(row["people"], effective(weight))
        yield row


def between(answers: pd.DataFrame) -> Iterator[dict]:
    """Yield the agreement of each two annotators, by Cohen's kappa, then that of all, by Krippendorff's alpha."""
    said = answers.where(answers.isin(["yes", "no"]))
    for one, other in combinations(said.columns, 2):
        pair = said[[one, other]].dropna()
        same = float((pair[one] == pair[other]).mean()) if len(pair) else math.nan
        value = agreement.kappa(pair[one].tolist(), pair[other].tolist())
        yield {"first": one, "second": other, "n": len(pair), "agreement": same, "value": value}
    if len(said.columns) > 1:
        n = int((said.notna().sum(axis=1) > 1).sum())
        yield {"first": ALL, "second": "", "n": n, "agreement": math.nan, "value": alpha(said)}


def alpha(said: pd.DataFrame) -> float:
    """Return Krippendorff's alpha of nominal answers, rows by annotators; NaN without two answers that differ."""
    yes, no = ((said == answer).sum(axis=1).to_numpy(float) for answer in ("yes", "no"))
    several = yes + no > 1
    yes, no = yes[several], no[several]
    total = (yes + no).sum()
    expected = 2 * yes.sum() * no.sum() / (total * (total - 1)) if total > 1 else 0.0
    if expected == 0:
        return math.nan
    return 1 - float((2 * yes * no / (yes + no - 1)).sum() / total) / expected
