"""Collect the data of explore.html: prompts, every run's responses, and the judges' scores.

A number stands for each text: its place in `texts`, which holds equal texts once, or -1 minus its length if the file
leaves the text out. In a redacted file every text is such a length, so it holds no word of a prompt or a response.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pandas as pd

from ballast import schemas
from ballast.asking.judging import PARSED
from ballast.categories import number, title
from ballast.files import BallastError, read_parquet
from ballast.names import AS_IS, NONE, RANDOM, REFERENCES, in_order, short_label
from ballast.results import metrics, style
from ballast.results.metrics import METRICS, VERDICTS, Metric, metric_of
from ballast.study.runs import Run, from_path

CHARACTERS = 40_000_000  # of texts in a file; a browser opens this many within seconds
DECIMALS = 3


@dataclass(frozen=True)
class PageOptions:
    """The config's part that the page needs."""

    study: str
    synthetic: bool
    redact: bool
    runs: list[str]  # folders below runs/
    metrics: dict[str, dict]  # the four -> benchmark, judge; the others -> their sections
    model_labels: dict[str, str]
    stand_ins: dict[str, str] = field(default_factory=dict)  # judge -> a sentence on its stand-in


class Texts:
    """The distinct texts of a file, with their places."""

    def __init__(self):
        self._places: dict[str, int] = {}

    def add(self, text: str) -> int:
        return self._places.setdefault(text, len(self._places))

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)


def collect(options: PageOptions, results: str, scores_path: str, characters: int = CHARACTERS) -> dict:
    """Return the page's data as JSON values, from `results`/runs/<run>/responses.parquet and scores.parquet.

    A benchmark's prompts are sorted by id. If the texts exceed `characters`, only the first `kept` prompts of each
    benchmark keep their text and all responses; the others keep lengths. Raises BallastError if a run has a score for a
    prompt that it did not answer.
    """
    paths = {path: f"{results}/runs/{path}/responses.parquet" for path in options.runs}
    prompts = _prompts(paths.values(), {metric["benchmark"] for metric in options.metrics.values()})
    kept = 0 if options.redact else _kept(prompts, characters)
    scores = metrics.read_scores(scores_path)
    judged = dict(list(scores.groupby(metrics.RUN, observed=True)))
    texts = Texts()
    spelled = [_spell(row.text, row.rank < kept, texts) for row in prompts.itertuples()]
    keys = {path: from_path(path) for path in options.runs}
    runs = [
        {
            **{
                "model": key.model,
                "pool": key.pool,
                "sampler": key.sampler,
                "n": key.n,
                "trial": key.trial,
                "path": path,
            },
            "parts": list(_parts(options, key, paths[path], prompts, kept, texts, judged, scores_path)),
        }
        for path, key in keys.items()
    ]
    benchmarks = list(prompts["benchmark"].unique())
    samplers = in_order(key.sampler for key in keys.values())
    return {
        "study": options.study,
        "redacted": options.redact,
        "kept": kept,
        "notes": _notes(options, prompts, kept),
        "benchmarks": [{"name": name, "prompts": int((prompts["benchmark"] == name).sum())} for name in benchmarks],
        "metrics": [_metric(name, options, benchmarks) for name in _names(options)],
        "categories": [title(category) for category in range(number())],
        "models": {
            name: options.model_labels.get(name, name) for name in dict.fromkeys(key.model for key in keys.values())
        },
        "samplers": [
            {"name": name, "label": short_label(name), "hue": style.hue(name), "square": style.marker(name) == "s"}
            for name in samplers
        ],
        "ids": prompts["id"].tolist(),
        "category": [None if pd.isna(category) else int(category) for category in prompts["category"]],
        "prompts": spelled,
        "texts": list(texts),
        "runs": runs,
        "views": _views(list(keys.values()), scores, options),
    }


def _prompts(paths, benchmarks: set[str]) -> pd.DataFrame:
    """Return all prompts of these benchmarks: benchmark, id, text, category, `length` (with all responses), `rank`."""
    parts = []
    for path in paths:
        table = schemas.read(path, schemas.RESPONSES)
        table = table[table["benchmark"].isin(benchmarks)]
        table = table.assign(length=table["prompt"].str.len(), answered=table["response"].str.len())
        parts.append(table[["benchmark", "id", "prompt", "category", "length", "answered"]])
    every = pd.concat(parts, ignore_index=True)
    grouped = every.groupby(["benchmark", "id"], sort=True)
    prompts = grouped.agg(text=("prompt", "first"), category=("category", "first"), length=("length", "first"))
    prompts = prompts.assign(length=prompts["length"] + grouped["answered"].sum()).reset_index()
    return prompts.assign(rank=prompts.groupby("benchmark").cumcount())


def _kept(prompts: pd.DataFrame, characters: int) -> int:
    """Return the number of prompts of each benchmark that keep their texts."""
    total = prompts.groupby("rank")["length"].sum().sort_index().cumsum()
    return int((total <= characters).sum())


def _spell(text: str, keep: bool, texts: Texts) -> int:
    return texts.add(text) if keep else -1 - len(text)


def _parts(
    options: PageOptions, key: Run, path: str, prompts: pd.DataFrame, kept: int, texts: Texts, judged, scores_path: str
):
    """Yield a run's responses and scores, one part per benchmark, in the order of the benchmark's prompts."""
    table = read_parquet(path)
    answers = dict(
        zip(
            zip(table["benchmark"], table["id"], strict=True),
            zip(table["response"], table["finish_reason"], strict=True),
            strict=True,
        )
    )
    said = _scores(judged.get((key.model, key.pool, key.sampler, key.n, key.trial)))
    strange = next(
        (f"{prompt} of {benchmark}" for _, benchmark, prompt in said if (benchmark, prompt) not in answers), None
    )
    if strange:
        raise BallastError(
            f"{scores_path}: {key.path} has a score of prompt {strange}, which {path} does not answer; "
            "run the study again"
        )
    asked = {(judge, benchmark) for judge, benchmark, _ in said}
    for place, (benchmark, known) in enumerate(prompts.groupby("benchmark", sort=False)):
        ids = known["id"].tolist()
        given = [answers.get((benchmark, one)) for one in ids]
        if not any(given):
            continue
        yield {
            "benchmark": place,
            "responses": [one and _spell(one[0], rank < kept, texts) for rank, one in enumerate(given)],
            "cut": [rank for rank, one in enumerate(given) if one and one[1] == "length"],
            "scores": {
                name: [said.get((metric["judge"], benchmark, one)) for one in ids]
                for name, metric in options.metrics.items()
                if metric["benchmark"] == benchmark and (metric["judge"], benchmark) in asked
            },
        }


def _scores(table: pd.DataFrame | None) -> dict[tuple[str, str, str], float | int | str]:
    """Return, by judge, benchmark and prompt, the score, or the reason why it is missing."""
    if table is None:
        return {}
    keys = zip(table["judge"], table["benchmark"], table["prompt_id"], strict=True)
    rows = zip(table["score"], table["answer_status"], strict=True)
    return dict(zip(keys, (_short(score) if status == PARSED else status for score, status in rows), strict=True))


def _short(score: float) -> float | int:
    return int(score) if score == int(score) else round(score, DECIMALS)


def _names(options: PageOptions) -> list[str]:
    """Return the paper's four metrics, then the others; a benchmark's first metric sorts its prompts."""
    return [name for name in METRICS if name in options.metrics] + sorted(options.metrics.keys() - METRICS.keys())


def _about(name: str, options: PageOptions) -> Metric:
    return metric_of(name, options.metrics[name])


def _metric(name: str, options: PageOptions, benchmarks: list[str]) -> dict:
    metric, verdict, chosen = _about(name, options), VERDICTS.get(name), options.metrics[name]
    place = benchmarks.index(chosen["benchmark"]) if chosen["benchmark"] in benchmarks else None
    words = {"flagged": verdict.flagged, "passed": verdict.passed, "at": metric.middle} if verdict else {}
    about = {"name": name, "label": metric.label, "lower": metric.direction == "lower", "scale": not metric.rate}
    return {**about, "benchmark": place, "judge": chosen["judge"], **words}


def _views(keys: list[Run], scores: pd.DataFrame, options: PageOptions) -> list[dict]:
    """Return, for each model and pool, the places of its runs and of the columns shown first."""
    views = []
    for model in dict.fromkeys(key.model for key in keys):
        mine = [place for place, key in enumerate(keys) if key.model == model]
        pools = dict.fromkeys(keys[place].pool for place in mine if keys[place].sampler != AS_IS)
        for pool in pools or ["-"]:
            # Training on base data alone does not depend on the pool; prefer this pool's own run.
            near = sorted(mine, key=lambda place: keys[place].pool != pool)
            picked = {}
            for place in near:
                key = keys[place]
                if key.pool == pool or key.sampler in REFERENCES:
                    picked.setdefault((key.sampler, key.n, key.trial), place)
            order = in_order(sampler for sampler, _, _ in picked)
            places = sorted(picked, key=lambda one: (order.index(one[0]), *one[1:]))
            runs = [picked[place] for place in places]
            columns = _columns(places, _best(scores, options, model, pool))
            views.append({"model": model, "pool": pool, "runs": runs, "columns": [picked[one] for one in columns]})
    # The largest experiment first.
    return sorted(views, key=lambda view: -len(view["runs"]))


def _best(scores: pd.DataFrame, options: PageOptions, model: str, pool: str) -> tuple[str, int] | None:
    """Return the best sampler except Random and the references, and the middle n, by the first measured metric."""
    mine = scores[(scores["model"] == model) & (scores["pool"] == pool) & ~scores["sampler"].isin(REFERENCES)]
    for name in METRICS:
        chosen = options.metrics[name]
        cells = metrics.cells(metrics.run_values(mine, _about(name, options), chosen["judge"]), _about(name, options))
        cells = cells[cells["mean"].notna()]
        if not cells.empty:
            sizes = sorted(cells["n"].unique())
            n = int(sizes[(len(sizes) - 1) // 2])
            there = cells[(cells["n"] == n) & (cells["sampler"] != RANDOM)]
            if there.empty:
                return RANDOM, n
            means = there.set_index("sampler")["mean"]
            return (means.idxmin() if METRICS[name].direction == "lower" else means.idxmax()), n
    return None


def _columns(places: list[tuple], best: tuple[str, int] | None) -> list[tuple]:
    """Return the unchanged model, no safety data, Random and the best sampler at one n, first trials, if present."""
    wanted = [(AS_IS, 0), (NONE, 0)]
    if best:
        wanted += [(RANDOM, best[1]), best]
    found = [next((place for place in places if place[:2] == one), None) for one in dict.fromkeys(wanted)]
    return [place for place in found if place] or places[:2]


def _notes(options: PageOptions, prompts: pd.DataFrame, kept: int) -> list[str]:
    """Return the page's caveats, one sentence each."""
    said = []
    if options.redact:
        said.append(
            "Redacted: this file holds no text of a prompt or a response, only lengths. Look a prompt up by its id in "
            f"results/{options.study}/data/benchmarks/<benchmark>.parquet, a response in responses.parquet of its run."
        )
    else:
        if not options.synthetic:
            said.append("This file holds prompts and responses in full, harmful ones too: mind who gets it.")
        longest = int(prompts["rank"].max()) + 1
        if kept < longest:
            said.append(
                f"So many texts do not fit into one file: of each benchmark the first {kept:,} prompts by id have "
                "theirs, the others lengths and scores."
            )
    if options.synthetic:
        said.append(f"{options.study} is a synthetic study: tiny models and a made language; it shows the workflow.")
    for name in _names(options):
        verdict, metric, chosen = VERDICTS.get(name), _about(name, options), options.metrics[name]
        line = "; no verdict, a number alone"
        if verdict:
            scale = not metric.rate
            line = f"; {verdict.flagged} " + (
                f"from {metric.middle:g} up, the middle of its scale: our line" if scale else "where it says so"
            )
        said.append(f"{metric.label}: judge {chosen['judge']} on {chosen['benchmark']}{line}.")
    return said + [text.replace("`", "") for text in options.stand_ins.values()]
