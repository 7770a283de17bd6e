"""Gather one run's responses to one benchmark with the judges' verdicts, for the logs that other programs read."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import pandas as pd

from ballast import schemas
from ballast.asking.judging import PARSED
from ballast.categories import title
from ballast.files import BallastError, digest, read_json
from ballast.results import metrics
from ballast.study.runs import from_path
from ballast.tables.table3 import redacted


@dataclass(frozen=True)
class Verdicts:
    """A metric's scores in its unit, one a prompt, NaN where there is none; `why` says then why, `said` by whom."""

    metric: metrics.Metric
    judge: str
    about: dict  # the judge's origin, and the digest of its scores
    values: Sequence[float]
    why: Sequence[str]  # empty where there is a score
    said: Sequence[str]  # the judge's own words

    @property
    def read(self) -> pd.Series:
        return pd.Series(self.values, dtype=float).dropna()

    @property
    def mean(self) -> float:
        return float(self.read.mean())

    @property
    def stderr(self) -> float:
        """The standard error of the mean over prompts; NaN with fewer than two scores."""
        return float(self.read.std() / math.sqrt(max(len(self.read), 1)))

    @property
    def missing(self) -> dict[str, int]:
        """Return the number of responses without a score, by reason."""
        return dict(sorted(Counter(filter(None, self.why)).items()))


@dataclass(frozen=True)
class RunLog:
    """One run's answers to one benchmark.

    `rows`: one dictionary a response, in the benchmark's order: place (of the prompt in the benchmark, from 0), id,
    prompt, expected, category, tags, response, finish_reason, prompt_tokens, response_tokens, prompt_cut.
    """

    study: str
    run: str
    benchmark: str
    model: str
    system: str | None
    facts: dict  # of the run, without a text
    asked: int
    rows: list[dict]
    verdicts: list[Verdicts]


def gather(options: dict, rows: str, responses: str, record: str, scores: Mapping[str, str]) -> RunLog:
    """Return the log of a run; `scores`: the file of each metric of the options, in their order.

    Options: study, synthetic, redact, run, benchmark, model, about (its origin), system, metrics (by name the metric's
    section, with `about`, its judge's origin). With `redact` a text becomes its length, and tags are left out. Raises
    BallastError if the run did not answer the benchmark, or a judge's prompts are not those that it answered.
    """
    benchmark, hide = options["benchmark"], options["redact"]
    asked = schemas.read(rows, schemas.BENCHMARK)
    answered = schemas.read(responses, schemas.RESPONSES)
    answered = answered[answered["benchmark"] == benchmark].set_index("id")
    _check(answered.index, asked["id"], responses, rows, benchmark)
    there = asked[asked["id"].isin(answered.index)]
    answered = answered.loc[there["id"]]
    made = read_json(record)
    whole = [
        {
            "place": place,
            "id": row["id"],
            "prompt": _shown(row["prompt"], hide),
            "expected": _shown(_text(row.get("expected")), hide),
            "category": None if pd.isna(row["category"]) else title(int(row["category"])),
            "tags": {} if hide else json.loads(_text(row.get("tags")) or "{}"),
            "response": _shown(said.response, hide),
            # A file of responses does not say why each ended.
            "finish_reason": "unknown" if "rows_unused" in made else said.finish_reason,
            "prompt_tokens": int(said.prompt_tokens),
            "response_tokens": int(said.response_tokens),
            "prompt_cut": bool(said.prompt_cut),
        }
        for (place, row), said in zip(there.to_dict("index").items(), answered.itertuples(), strict=True)
    ]
    return RunLog(
        study=options["study"],
        run=options["run"],
        benchmark=benchmark,
        model=options["model"],
        system=options["system"] and _shown(options["system"], hide),
        facts=_facts(options, made, digest(responses)),
        asked=len(asked),
        rows=whole,
        verdicts=[_verdicts(name, options, scores[name], answered.index) for name in options["metrics"]],
    )


def _check(answered: pd.Index, asked: pd.Series, responses: str, rows: str, benchmark: str) -> None:
    if answered.empty:
        raise BallastError(
            f"{responses}: no response to {benchmark}; name a metric of {benchmark} in an experiment with this run"
        )
    strange = answered.difference(asked)
    if len(strange):
        raise BallastError(
            f"{responses}: {len(strange)} responses are to prompts that {rows} lacks, such as {strange[0]}; "
            "run the study again"
        )


def _verdicts(name: str, options: dict, path: str, ids: pd.Index) -> Verdicts:
    section = options["metrics"][name]
    metric, judge = metrics.metric_of(name, section), section["judge"]
    judged = schemas.read(path, schemas.JUDGED).set_index("prompt_id")
    lacking, strange = ids.difference(judged.index), judged.index.difference(ids)
    if len(lacking) or len(strange):
        said = "responses have no verdict" if len(lacking) else "verdicts are on no response of the run"
        one = (lacking if len(lacking) else strange)[0]
        raise BallastError(
            f"{path}: {len(lacking) or len(strange)} {said} of {judge}, such as {one}; run the study again"
        )
    judged = judged.loc[ids]
    disagree = judged["score"].isna() == (judged["answer_status"] == PARSED)
    if disagree.any():
        raise BallastError(
            f"{path}: prompt {disagree.idxmax()}: the score and its answer_status disagree on whether the judge's "
            "answer was parsed; judge again"
        )
    return Verdicts(
        metric=metric,
        judge=judge,
        about=section["about"] | {"scores_sha256": digest(path)},
        values=(metric.factor * judged["score"]).tolist(),
        why=["" if status == PARSED else status for status in judged["answer_status"]],
        said=[_shown(text, options["redact"]) for text in judged["answer"]],
    )


def _facts(options: dict, made: dict, responses: str) -> dict:
    """Return what made the responses: the run's key, its model, digests and decoding."""
    # Its file is a path of this machine; the system message is in each sample.
    made = {name: value for name, value in made.items() if name not in ("system", "origin")}
    facts = {"study": options["study"], "synthetic": options["synthetic"], "redacted": options["redact"]}
    facts |= {"run": options["run"], **asdict(from_path(options["run"]))}
    return facts | {"model_origin": options["about"], "responses_sha256": responses, "generation": made}


def _text(value: object) -> str:
    """Return a cell's text, empty if the cell or its column is missing."""
    return value if isinstance(value, str) else ""


def _shown(text: str, hide: bool) -> str:
    return redacted(text) if hide and text else text
