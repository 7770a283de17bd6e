"""Compare models as they are with one of them, over each benchmark's prompts, and decide by the config's limits."""

import json
import math
from collections import Counter
from collections.abc import Mapping

import pandas as pd
from scipy.stats import norm

from ballast.asking import thinking
from ballast.categories import taxonomy
from ballast.data.languages import UNSURE, language
from ballast.markup import markdown, pipe_table
from ballast.names import AS_IS
from ballast.results import metrics
from ballast.results.metrics import Metric
from ballast.results.statistics import estimate

WITHIN, BEYOND, UNDECIDED = "within", "beyond", "not decidable"
# A response loops if its words are at least so many, and so few of its runs of three words are distinct.
LOOP_WORDS, LOOP_SHARE = 12, 0.5
VALUES = 40  # the page shows a tag with at most so many values
SIGNS = {
    "empty": "no words",
    "cut": "ran to the length limit",
    "looping": f"{LOOP_WORDS} words or more, and less than {LOOP_SHARE:.0%} of the runs of three words distinct",
    "unfinished": "still thinking when it was cut",
    "off_language": "in another language than the prompt, or than most prompts of the benchmark, where both are sure",
}


def compare(
    scores: pd.DataFrame, responses: Mapping[str, pd.DataFrame], asked: Mapping[str, pd.DataFrame], options: dict
) -> dict:
    """Return, for programs: by metric and model the mean, its interval, the difference and the verdict.

    `asked`: each benchmark's rows; `options`: those of measure.py. Intervals are 95 %: over prompts
    (Wilson's for a rate, else the bootstrap's), or over runs and prompts if the models after are runs of one
    fine-tuning. A difference is paired over prompts. The verdict of a limit is within or beyond if the whole interval
    is, else not decidable.
    """
    groups = _groups(list(responses), options["runs"])
    before, *after = groups
    found = {"study": options["study"], "before": before, "after": after, "metrics": {}}
    for name, section in options["metrics"].items():
        metric, limit = metrics.metric_of(name, section), options["targets"].get(name)
        rows = {model: _scores(scores, metric, section, model) for model in responses}
        parts = {group: [rows[model] for model in models] for group, models in groups.items()}
        ids = set(asked[metric.benchmark]["id"])
        found["metrics"][name] = {
            "label": metric.label,
            "unit": metric.unit,
            "direction": metric.direction,
            "benchmark": metric.benchmark,
            "judge": section["judge"],
            "limit": limit,
            "models": {group: _one(metric, parts, group, before, ids, limit) for group in groups},
            "by": by_tag(asked[metric.benchmark], parts),
        }
    found["responses"] = {
        group: signs(pd.concat([responses[model] for model in models], ignore_index=True))
        for group, models in groups.items()
    }
    found["verdict"], found["said"] = _decide(found, options)
    return found


def _groups(models: list[str], runs: bool) -> dict[str, list[str]]:
    """Return the models that the page shows as one: each by itself, or all models after as runs of one fine-tuning."""
    if runs and len(models) > 2:
        return {models[0]: models[:1], f"{len(models) - 1} runs after": models[1:]}
    return {model: [model] for model in models}


def _scores(scores: pd.DataFrame, metric: Metric, section: dict, model: str) -> pd.Series:
    """Return a model's scores by prompt, in the metric's unit; missing if the judge's answer could not be read."""
    mine = scores[(scores["model"] == model) & (scores["sampler"] == AS_IS)]
    mine = mine[(mine["benchmark"] == metric.benchmark) & (mine["judge"] == section["judge"])]
    return metric.factor * mine.set_index("prompt_id")["score"]


def _one(
    metric: Metric, parts: Mapping[str, list[pd.Series]], group: str, before: str, asked: set, limit: float | None
) -> dict:
    mine, table = parts[group], pd.DataFrame(parts[group]).reset_index(drop=True)
    low, high = map(_round, metrics.interval(metric, table)[:2])
    one = {"mean": _round(table.stack().mean()), "low": low, "high": high, "runs": len(mine)}
    one |= {"prompts": int(table.notna().any().sum()), "unread": sum(int(part.isna().sum()) for part in mine)}
    one |= {"missing": sum(len(asked - set(part.index)) for part in mine)}
    if limit is not None:
        one["verdict"] = verdict(metric, low, high, limit)
    if group != before:
        start = parts[before][0]
        both = start.index.intersection(table.columns)
        moved = table[both] - start[both]
        mean, low, high = _change(metric, table[both], start[both]) if len(mine) == 1 else _ends(moved)
        one["difference"] = {"mean": _round(mean), "low": _round(low), "high": _round(high), "prompts": len(both)}
        one["difference"] |= {"up": int((moved > 0).sum().sum()), "down": int((moved < 0).sum().sum())}
    return one


def _ends(moved: pd.DataFrame) -> tuple[float, float, float]:
    found = estimate(moved.to_numpy())
    return found.mean, found.low, found.high


def _change(metric: Metric, after: pd.DataFrame, before: pd.Series) -> tuple[float, float, float]:
    """Return a mean difference and its 95 % interval, paired over prompts.

    A rate has Bonett and Price's adjusted interval (JEBS 37, 2012), which is honest where no prompt, or each, changed
    sides; anything else the bootstrap's.
    """
    pairs = pd.concat([before.to_frame().T, after]).dropna(axis=1).to_numpy() / metric.factor
    if not metric.rate or not set(pairs.flat) <= {0.0, 1.0}:
        return _ends(after - before)
    asked = pairs.shape[1]
    if not asked:
        return math.nan, math.nan, math.nan
    up, down = int((pairs[1] > pairs[0]).sum()), int((pairs[1] < pairs[0]).sum())
    more, less = (up + 1) / (asked + 2), (down + 1) / (asked + 2)
    half = norm.ppf(0.975) * math.sqrt((more + less - (more - less) ** 2) / (asked + 2))
    ends = (max(more - less - half, -1.0), min(more - less + half, 1.0))
    return tuple(metric.factor * value for value in ((up - down) / asked, *ends))


def verdict(metric: Metric, low: float, high: float, limit: float) -> str:
    """Return whether an interval is within a limit, beyond it, or on both sides."""
    if math.isnan(low):
        return UNDECIDED
    if metric.direction == "higher":
        low, high, limit = -high, -low, -limit
    return WITHIN if high <= limit else BEYOND if low > limit else UNDECIDED


def by_tag(asked: pd.DataFrame, parts: Mapping[str, list[pd.Series]]) -> dict[str, dict]:
    """Return the mean and number of prompts by category and tag, each by value and model, most prompts first.

    A tag with more than VALUES values, such as a text, has their number alone; one without any is left out.
    """
    names = {
        "category": asked["category"].map(lambda number: None if pd.isna(number) else taxonomy().names[int(number)])
    }
    if "tags" in asked:
        names |= dict(pd.DataFrame([json.loads(text) for text in asked["tags"]], index=asked.index))
    found: dict[str, dict] = {}
    for tag, values in names.items():
        ids = {value: asked["id"][rows].tolist() for value, rows in values.groupby(values).groups.items()}
        if len(ids) > VALUES:
            found[tag] = {"values": len(ids)}
        elif ids:
            ordered = sorted(ids, key=lambda value: (-len(ids[value]), value))
            found[tag] = {"shown": {value: _means(ids[value], parts) for value in ordered}}
    return found


def _means(ids: list[str], parts: Mapping[str, list[pd.Series]]) -> dict[str, dict]:
    """Return mean and number of prompts of some prompts, by model; a model without a score of them is left out."""
    tables = {group: pd.DataFrame(rows).reindex(columns=ids) for group, rows in parts.items()}
    return {
        group: {"mean": _round(table.stack().mean()), "prompts": int(table.notna().any().sum())}
        for group, table in tables.items()
        if table.notna().any(axis=None)
    }


def signs(table: pd.DataFrame) -> dict[str, int]:
    """Count responses whose form makes a judge's score doubtful, by SIGNS, and all."""
    answers = table["response"].map(thinking.answer)
    plain = answers.fillna("")
    return {
        "responses": len(table),
        "empty": int((plain.str.strip() == "").sum() - answers.isna().sum()),
        "cut": int((table["finish_reason"] == "length").sum()),
        "looping": int(plain.map(loops).sum()),
        "unfinished": int(answers.isna().sum()),
        "off_language": off_language(table.assign(answer=plain)),
    }


def off_language(table: pd.DataFrame) -> int:
    """Count answers in another language than their prompt; that of a prompt too short to tell is the benchmark's."""
    off = 0
    for _, rows in table.groupby("benchmark", observed=True):
        asked = [language(text) for text in rows["prompt"]]
        sure = Counter(name for name in asked if name != UNSURE)
        usual = sure.most_common(1)[0][0] if sure else UNSURE
        for prompt, text in zip(asked, rows["answer"], strict=True):
            wanted, said = usual if prompt == UNSURE else prompt, language(text)
            off += UNSURE not in (wanted, said) and wanted != said
    return off


def loops(text: str) -> bool:
    """Return whether a text says the same runs of three words again and again."""
    words = text.lower().split()
    runs = list(zip(words, words[1:], words[2:], strict=False))
    return len(words) >= LOOP_WORDS and len(set(runs)) < LOOP_SHARE * len(runs)


def _decide(found: dict, options: dict) -> tuple[str, str]:
    """Return the verdict over all limits and models after, and a line that says why."""
    parts = []
    for name in options["targets"]:
        one = found["metrics"][name]
        metric = metrics.metric_of(name, options["metrics"][name])
        for model in found["after"]:
            got = one["models"][model]
            reach = f"{metric.text(got['mean'], got['low'], got['high'])}, limit {metric.number(one['limit'])}"
            parts.append(
                (got["verdict"], f"{_label(options, model)}: {one['label'].lower()} {got['verdict']}, {reach}")
            )
    verdicts = [verdict for verdict, _ in parts]
    whole = next((each for each in (BEYOND, UNDECIDED) if each in verdicts), WITHIN) if parts else UNDECIDED
    decisive = [said for verdict, said in parts if verdict == whole] or ["no target is set for the measured metrics"]
    return whole, f"{whole}: {'; '.join(decisive)}"


def page(found: dict, options: dict) -> str:
    """Return measure.md: the verdict, a table of metrics, the change by category, and the responses' form."""
    models = [found["before"], *found["after"]]
    labels = [markdown(_label(options, model)) for model in models]
    rows = [row for name, one in found["metrics"].items() for row in _rows(name, one, options)]
    text = [f"# Before and after, study {markdown(found['study'])}", found["said"][0].upper() + found["said"][1:] + "."]
    header = [
        "Metric",
        "Model",
        "Mean (95 % over prompts)",
        "Prompts",
        "After minus before",
        "on prompts",
        "Up / down",
        "Limit",
    ]
    text.append(pipe_table(header, rows))
    text.append(
        "A difference is over the prompts that both models have. Up and down count those whose score rose or fell; "
        f"explore.html shows their responses{', redacted' if options['redact'] else ''}. Unread: the judge's answer "
        "could not be read. Missing: the model has no response."
    )
    for name, one in found["metrics"].items():
        metric = metrics.metric_of(name, options["metrics"][name])
        for tag, shown in one["by"].items():
            text += [f"## {one['label']} by {markdown(tag)}", _tag_table(metric, shown, models, labels)]
    body = [
        [sign.replace("_", "-"), *(_share(found["responses"][model], sign) for model in models), SIGNS[sign]]
        for sign in SIGNS
    ]
    text += ["## The responses themselves", pipe_table(["Responses", *labels, "means"], body)]
    text += [
        "Judges misread babble: where many responses are empty, loop or change the language, read the scores with care."
    ]
    text += list(options["stand_ins"].values())
    return "\n\n".join(text) + "\n"


def _tag_table(metric: Metric, tag: dict, models: list[str], labels: list[str]) -> str:
    if "shown" not in tag:
        return f"{tag['values']} values, more than {VALUES}: none is shown."
    body = [
        [markdown(value), max((each["prompts"] for each in by.values()), default=0)]
        + [metric.number(by[model]["mean"]) if model in by else "" for model in models]
        for value, by in tag["shown"].items()
    ]
    return pipe_table(["Value", "Prompts", *labels], body)


def _rows(name: str, one: dict, options: dict) -> list[list[str]]:
    metric, rows = metrics.metric_of(name, options["metrics"][name]), []
    for model, got in one["models"].items():
        change = got.get("difference")
        points = " points" if metric.rate else ""
        rows.append(
            [
                one["label"],
                markdown(_label(options, model)),
                metric.text(got["mean"], got["low"], got["high"]),
                ", ".join(
                    [f"{got['prompts']}", *(f"{got[why]} {why}" for why in ("unread", "missing") if got[why])],
                ),
                f"{change['mean']:+.1f}{points} ({change['low']:+.1f} to {change['high']:+.1f})" if change else "",
                change["prompts"] if change else "",
                f"{change['up']} / {change['down']}" if change else "",
                f"{got['verdict']} {metric.number(one['limit'])}" if "verdict" in got else "",
            ]
        )
    return rows


def _label(options: dict, model: str) -> str:
    return options["model_labels"].get(model, model)


def _share(counts: dict[str, int], sign: str) -> str:
    return f"{counts[sign]} of {counts['responses']}"


def _round(value: float) -> float:
    return round(float(value), 6)
