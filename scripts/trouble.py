"""Look for signatures of trouble in a finished study, each with a verdict, the numbers and what to try.

trouble.py --options JSON --results DIR --runs JSON --canaries JSON --scores F --behaviour F [--category F]
           [--truth F] [--pool F --annotations F] --out-txt F --out-csv F --out-md F

`--runs`: the paths of all runs below `--results`/runs/, each with its subset below subsets/, or null. The program reads
each run's training.json and responses.parquet, and the subsets of the sampling experiment's runs.
`--canaries`: for each judge, whether it has canaries.
"""

import argparse
import json

import pandas as pd

from ballast import schemas
from ballast.data.refusal_words import is_refusal
from ballast.files import read_arrow, read_json, write_csv, write_text
from ballast.labels.annotation import read_sheet
from ballast.results import label_quality, metrics, notes, outliers, signatures
from ballast.results.findings import closing, table, to_markdown
from ballast.study.artefacts import Options, parse_options
from ballast.study.runs import Run, from_path

READ_RUNS = "look at the run's log, and train it with another seed; if it stays, its subset is the cause"
NOTES = (
    "`fine`: the sign is not there. `look`: it is; it may be harmless. `not decidable`: the study lacks what it takes.",
    "Thresholds and their reasons: `scripts/ballast/results/signatures.py`, `outliers.py` and `label_quality.py`.",
    "Refusals are counted by the opening words of a response (`refusal-string`), in each benchmark by itself.",
)


def main(arguments: argparse.Namespace) -> None:
    options = parse_options("trouble", arguments.options)
    picked = {from_path(path): subset for path, subset in json.loads(arguments.runs).items()}
    scores = metrics.read_scores(arguments.scores)
    rules = [name for name in label_quality.REFUSAL if options.declared.get(name, {}).get("rule")]
    measure = metrics.metric("harm", options)
    harm, refusals = (metrics.by_sampler(scores, name, options) for name in ("harm", "over_refusal"))
    prompts = scores.loc[scores["judge"] == options.judges["harm"], ["prompt_id", "category"]]
    categories = prompts.drop_duplicates("prompt_id").set_index("prompt_id")["category"]
    by_run = dict(tuple(scores.groupby(metrics.RUN, observed=True)))
    losses, rates, verdicts = zip(*(of_run(arguments.results, run, by_run, options) for run in picked), strict=True)
    findings = [
        signatures.random_beaten(harm, labeller(arguments), measure),
        signatures.over_refusal(refusals),
        signatures.enough_trials(harm, measure),
        signatures.categories_served(
            harm, categories, subsets(arguments.results, picked, options), pool(arguments), measure
        ),
        label_quality.judges(scores[["judge", "answer_status"]], json.loads(arguments.canaries)),
        label_quality.agree([table for tables in verdicts for table in tables], options.judges, rules),
        outliers.outliers(outliers.LOSS, outliers.runs_table(losses), READ_RUNS),
        outliers.outliers(outliers.REFUSAL, outliers.runs_table([row for rows in rates for row in rows]), READ_RUNS),
    ]
    write_text(arguments.out_txt, closing(findings))
    write_csv(arguments.out_csv, table(findings))
    write_text(arguments.out_md, to_markdown(findings, options.study, [*NOTES, *notes.synthetic(options)]))


def of_run(results: str, run: Run, by_run: dict, options: Options) -> tuple[dict, list[dict], list]:
    """Return a run's training loss, refusals in percent by benchmark, and its judges' agreement with refusal-string.

    `by_run`: scores by (model, pool, sampler, n, trial).
    """
    folder = f"{results}/runs/{run.path}"
    about = {"model": run.model, "pool": run.pool, "sampler": run.sampler, "n": run.n, "trial": run.trial}
    loss = read_json(f"{folder}/training.json")["train_loss"]
    responses = read_arrow(f"{folder}/responses.parquet", ["benchmark", "id", "response"]).to_pandas()
    refused = responses.set_index(["benchmark", "id"])["response"].map(is_refusal)
    rates = [
        about | {"benchmark": benchmark, "value": float(rate)}
        for benchmark, rate in (100 * refused.groupby("benchmark").mean()).items()
    ]
    scores = by_run.get(tuple(about.values()))
    verdicts = []
    for name in label_quality.REFUSAL if scores is not None else ():
        metric = metrics.metric(name, options)
        rows = scores[(scores["benchmark"] == metric.benchmark) & (scores["judge"] == options.judges[name])]
        if len(rows) and not options.declared.get(name, {}).get("rule"):
            score = rows.set_index("prompt_id")["score"]
            verdicts.append(label_quality.pairs_of_verdicts(score, refused[metric.benchmark], name, metric))
    return about | {"benchmark": "", "value": float(loss)}, rates, verdicts


def subsets(results: str, picked: dict[Run, str | None], options: Options) -> pd.DataFrame:
    """Return the categories for which the experiment's subsets took their rows: sampler, n, trial, category."""
    wanted = options.experiment
    named = {
        subset: run
        for run, subset in picked.items()
        if subset and run.pool in wanted.pools and run.sampler in wanted.samplers
    }
    parts = [
        pd.read_csv(f"{results}/subsets/{subset}.csv", dtype={"id": str, "category": "Int8"})[["category"]].assign(
            sampler=run.sampler, n=run.n, trial=run.trial
        )
        for subset, run in named.items()
        if run.n in wanted.n and run.trial < wanted.trials
    ]
    return pd.concat(parts, ignore_index=True)


def labeller(arguments: argparse.Namespace) -> str:
    behaviour = schemas.read(arguments.behaviour, schemas.BEHAVIOUR)
    people = None
    if arguments.annotations:
        people = read_sheet(arguments.annotations, schemas.read(arguments.pool, schemas.PAIRS))
    truth = pd.read_csv(arguments.truth) if arguments.truth else None
    return label_quality.accuracy(behaviour, people, truth)


def pool(arguments: argparse.Namespace) -> pd.DataFrame | None:
    """Return category and behaviour of each row of the pool, once per category."""
    if not arguments.category:
        return None
    behaviour = schemas.read(arguments.behaviour, schemas.BEHAVIOUR).set_index("id")["behaviour"]
    categories = schemas.read(arguments.category, schemas.CATEGORIES)[["id", "categories"]].explode("categories")
    return categories.assign(behaviour=categories["id"].map(behaviour)).rename(columns={"categories": "category"})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("options", "results", "runs", "canaries", "scores", "behaviour", "out-txt", "out-csv", "out-md"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("category", "truth", "pool", "annotations"):
        parser.add_argument(f"--{name}")
    main(parser.parse_args())
