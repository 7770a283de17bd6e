"""What explore.html holds: prompts, the responses of every run to them, and what the judges said.

A text is a number: its place in `texts`, where a text that many runs gave stands once, or -1 less its length where it
is not in the file. In a redacted file every text is such a length, so no word of a prompt or a response is in it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pandas as pd

from ballast import schemas
from ballast.asking.judging import PARSED
from ballast.categories import CATEGORIES, title
from ballast.files import BallastError, read_parquet
from ballast.names import AS_IS, NONE, RANDOM, REFERENCES, in_order, short_label
from ballast.results import metrics, style
from ballast.results.metrics import METRICS, VERDICTS, Metric, metric_of
from ballast.study.runs import Run, from_path

CHARACTERS = 40_000_000  # of texts in a file; a browser opens as much within seconds
DECIMALS = 3


@dataclass(frozen=True)
class PageOptions:
    """What the page is told of the config."""

    study: str
    synthetic: bool
    redact: bool
    runs: list[str]  # folders below runs/
    metrics: dict[str, dict]  # the four -> benchmark, judge; the others -> their sections
    model_labels: dict[str, str]
    stand_ins: dict[str, str] = field(default_factory=dict)  # judge -> the sentence that says what stands for it


class Texts:
    """The texts of a file, each once."""

    def __init__(self):
        self._places: dict[str, int] = {}

    def add(self, text: str) -> int:
        return self._places.setdefault(text, len(self._places))

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)


def collect(options: PageOptions, results: str, scores_path: str, characters: int = CHARACTERS) -> dict:
    """The page's data, from `results`/runs/<run>/responses.parquet and scores.parquet; plain values for JSON.

    Prompts of a benchmark stand by their ids. Where the texts are more than `characters`, only so many of the first
    prompts of each benchmark keep theirs (`kept`), with the responses of all runs; the others keep their lengths.
    Raises BallastError where a run has a score of a prompt that it did not answer.
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
        "categories": [title(category) for category in range(len(CATEGORIES))],
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
    """Every prompt of these benchmarks: benchmark, id, text, category; `length`, of it and all responses; `rank`."""
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
    """How many prompts of each benchmark keep their texts."""
    total = prompts.groupby("rank")["length"].sum().sort_index().cumsum()
    return int((total <= characters).sum())


def _spell(text: str, keep: bool, texts: Texts) -> int:
    return texts.add(text) if keep else -1 - len(text)


def _parts(
    options: PageOptions, key: Run, path: str, prompts: pd.DataFrame, kept: int, texts: Texts, judged, scores_path: str
):
    """A run's responses and scores, a part a benchmark, in the order of the benchmark's prompts."""
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
    """By judge, benchmark and prompt: the score, or why there is none."""
    if table is None:
        return {}
    keys = zip(table["judge"], table["benchmark"], table["prompt_id"], strict=True)
    rows = zip(table["score"], table["answer_status"], strict=True)
    return dict(zip(keys, (_short(score) if status == PARSED else status for score, status in rows), strict=True))


def _short(score: float) -> float | int:
    return int(score) if score == int(score) else round(score, DECIMALS)


def _names(options: PageOptions) -> list[str]:
    """The four, then the others: the first one of a benchmark sorts its prompts."""
    return [name for name in METRICS if name in options.metrics] + sorted(options.metrics.keys() - METRICS.keys())


def _about(name: str, options: PageOptions) -> Metric:
    return METRICS.get(name) or metric_of(name, options.metrics[name])


def _metric(name: str, options: PageOptions, benchmarks: list[str]) -> dict:
    metric, verdict, chosen = _about(name, options), VERDICTS.get(name), options.metrics[name]
    place = benchmarks.index(chosen["benchmark"]) if chosen["benchmark"] in benchmarks else None
    words = {"flagged": verdict.flagged, "passed": verdict.passed, "at": verdict.at} if verdict else {}
    about = {"name": name, "label": metric.label, "lower": metric.direction == "lower", "scale": metric.unit != "%"}
    return {**about, "benchmark": place, "judge": chosen["judge"], **words}


def _views(keys: list[Run], scores: pd.DataFrame, options: PageOptions) -> list[dict]:
    """For each model and pool, the places of its runs, and of those that stand side by side at first."""
    views = []
    for model in dict.fromkeys(key.model for key in keys):
        mine = [place for place, key in enumerate(keys) if key.model == model]
        pools = dict.fromkeys(keys[place].pool for place in mine if keys[place].sampler != AS_IS)
        for pool in pools or ["-"]:
            # Base data alone is the same training whatever the pool; the pool's own stands for it where there is one.
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
    # First what has most runs: the models and pools of the largest experiment.
    return sorted(views, key=lambda view: -len(view["runs"]))


def _best(scores: pd.DataFrame, options: PageOptions, model: str, pool: str) -> tuple[str, int] | None:
    """The best sampler at the middle n, Random and the references aside, by the first metric that was measured."""
    mine = scores[(scores["model"] == model) & (scores["pool"] == pool) & ~scores["sampler"].isin(REFERENCES)]
    for name in METRICS:
        chosen = options.metrics[name]
        cells = metrics.cells(metrics.run_values(mine, METRICS[name], chosen["judge"], chosen["benchmark"]))
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
    """As it is, no safety data, Random and the best sampler at one n, the first trial of each, as far as there are."""
    wanted = [(AS_IS, 0), (NONE, 0)]
    if best:
        wanted += [(RANDOM, best[1]), best]
    found = [next((place for place in places if place[:2] == one), None) for one in dict.fromkeys(wanted)]
    return [place for place in found if place] or places[:2]


def _notes(options: PageOptions, prompts: pd.DataFrame, kept: int) -> list[str]:
    """What a reader of the page must know, a sentence each."""
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
            scale = metric.unit != "%"
            line = f"; {verdict.flagged} " + (
                f"from {verdict.at:g} up, the middle of its scale: our line" if scale else "where it says so"
            )
        said.append(f"{metric.label}: judge {chosen['judge']} on {chosen['benchmark']}{line}.")
    return said + [text.replace("`", "") for text in options.stand_ins.values()]
