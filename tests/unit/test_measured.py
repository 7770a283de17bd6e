"""Models before and after a fine-tuning: the numbers, the verdict, and what is said of the responses."""

import json

import numpy as np
import pandas as pd
import pytest

from ballast import schemas
from ballast.results import measured, metrics

SECTION = {"benchmark": "malicious", "judge": "complies", "unit": "%", "scale": (0, 1), "direction": "lower"}
OPTIONS = {
    "study": "s",
    "synthetic": False,
    "redact": True,
    "before": "old",
    "after": ["new"],
    "stand_ins": {},
    "runs": False,
}
OPTIONS |= {"metrics": {"harm": SECTION}, "model_labels": {"old": "Before"}, "targets": {"harm": 20.0}}


def scores(values: dict[str, list[float]], category=pd.NA) -> pd.DataFrame:
    rows = [
        {"model": model, "prompt_id": f"p{place}", "score": value, "category": category}
        for model, each in values.items()
        for place, value in enumerate(each)
        if value is not None
    ]
    fixed = {"pool": "-", "sampler": "as-is", "n": 0, "trial": 0, "benchmark": "malicious", "judge": "complies"}
    return pd.DataFrame(rows).assign(**fixed)


def responses(*texts: str) -> pd.DataFrame:
    asked = {"benchmark": "malicious", "prompt": "How do I paint the door of a house that stands by the sea?"}
    return pd.DataFrame({"response": texts, "finish_reason": "stop"}).assign(**asked)


def compare(old: list, *new: list, asked: int = 0, **changes) -> dict:
    names = ["old", *("new" if len(new) == 1 else f"new-{number}" for number in range(len(new)))]
    values = dict(zip(names, (old, *new), strict=True))
    rows = {"malicious": benchmark(asked or len(old))}
    return measured.compare(scores(values), {name: responses("a") for name in names}, rows, OPTIONS | changes)


def benchmark(prompts: int, **columns) -> pd.DataFrame:
    return pd.DataFrame({"id": [f"p{place}" for place in range(prompts)], "category": pd.NA} | columns)


def test_means_intervals_and_paired_differences():
    found = compare([0, 0, 0, 1], [1, 1, 0, 1])["metrics"]["harm"]["models"]
    assert found["old"]["mean"] == 25.0 and found["new"]["mean"] == 75.0
    # Wilson's interval of 1 of 4 and 3 of 4.
    assert (found["old"]["low"], found["old"]["high"]) == pytest.approx((4.6, 69.9), abs=0.1)
    change = found["new"]["difference"]
    assert change["mean"] == 50.0 and (change["up"], change["down"], change["prompts"]) == (2, 0, 4)
    assert change["low"] < 50 < change["high"] and "difference" not in found["old"]


def test_a_rate_of_none_has_an_interval_within_0_and_100():
    found = compare([0] * 50, [1] * 50)["metrics"]["harm"]["models"]
    assert found["old"]["low"] == 0 and 5 < found["old"]["high"] < 8
    assert found["new"]["high"] == 100 and 92 < found["new"]["low"] < 95


@pytest.mark.parametrize(
    ("harmful", "verdict"), [(0, measured.WITHIN), (90, measured.BEYOND), (20, measured.UNDECIDED)]
)
def test_the_verdict_is_that_of_the_whole_interval(harmful, verdict):
    found = compare([0] * 100, [1] * harmful + [0] * (100 - harmful))
    assert found["verdict"] == verdict and found["said"].startswith(f"{verdict}: new: harm {verdict}, ")
    assert compare([0], [0], targets={})["said"] == "not decidable: no target is set for the measured metrics"


def test_a_prompt_without_a_response_is_counted_and_pairs_are_those_of_both():
    found = compare([0, 0, 1, 0], [1, None, 1, None])["metrics"]["harm"]["models"]
    assert found["new"]["missing"] == 2 and found["old"]["missing"] == 0
    assert found["new"]["difference"]["prompts"] == 2 and found["new"]["difference"]["mean"] == 50.0
    assert "2, 2 missing" in measured.page(compare([0, 0, 1, 0], [1, None, 1, None]), OPTIONS)


def test_a_prompt_that_no_model_answered_is_missing_from_each():
    found = compare([0, 1], [1, 1], asked=5)["metrics"]["harm"]["models"]
    assert [found[model]["missing"] for model in ("old", "new")] == [3, 3]


def test_runs_of_one_fine_tuning_are_one_model_over_runs_and_prompts():
    new = [[1, 1, 1, 0, 0, None], [1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0]]
    found = compare([0, 0, 0, 0, 1, 0], *new, runs=True)
    [after] = found["after"]
    one = found["metrics"]["harm"]["models"][after]
    assert after == "3 runs after" and (one["runs"], one["prompts"], one["missing"]) == (3, 6, 1)
    assert one["mean"] == pytest.approx(100 * 9 / 17) and one["low"] < one["mean"] < one["high"]
    change = one["difference"]
    # 9 pairs rose and 3 fell, of 17.
    assert (change["up"], change["down"]) == (9, 3) and change["mean"] == pytest.approx(100 * 6 / 17)
    apart = compare([0, 0, 0, 0, 1, 0], *new)
    assert len(apart["after"]) == 3 and "3 runs after" in measured.page(found, OPTIONS | {"runs": True})


def test_means_by_category_and_tag_where_prompts_have_them():
    tags = [
        '{"method": "role play", "text": "a"}',
        '{"method": null, "text": "b"}',
        '{"method": "role play", "text": "c"}',
    ]
    rows = {"malicious": benchmark(3, category=pd.array([3, 3, None], dtype="Int8"), tags=tags)}
    both = {"old": responses("a"), "new": responses("b")}
    found = measured.compare(scores({"old": [0, 1, 0], "new": [1, 1, 1]}), both, rows, OPTIONS)
    by = found["metrics"]["harm"]["by"]
    [(name, by_model)] = by["category"]["shown"].items()
    assert by_model["old"] == {"mean": 50.0, "prompts": 2} and name in measured.page(found, OPTIONS)
    assert by["method"]["shown"] == {
        "role play": {"old": {"mean": 0.0, "prompts": 2}, "new": {"mean": 100.0, "prompts": 2}}
    }
    assert "## Harm by method" in measured.page(found, OPTIONS) and set(by["text"]["shown"]) == {"a", "b", "c"}
    assert "by" not in compare([0], [1])["metrics"]["harm"]["by"]


def test_a_tag_of_many_values_is_counted_and_not_shown():
    many = measured.VALUES + 1
    rows = {"malicious": benchmark(many, tags=[json.dumps({"text": f"t{number}"}) for number in range(many)])}
    both = {"old": responses("a"), "new": responses("b")}
    found = measured.compare(scores({"old": [0] * many, "new": [1] * many}), both, rows, OPTIONS)
    assert found["metrics"]["harm"]["by"] == {"text": {"values": many}}
    assert f"{many} values, more than {measured.VALUES}: none is shown." in measured.page(found, OPTIONS)


def test_babble_is_counted():
    looping = "go on and " * 20
    table = responses("", "  ", looping, "A fine answer of several words that says a thing and then ends well.")
    table.loc[3, "finish_reason"] = "length"
    assert measured.signs(table) == {
        "responses": 4,
        "empty": 2,
        "cut": 1,
        "looping": 1,
        "unfinished": 0,
        "off_language": 0,
    }


def test_answers_in_another_language_are_counted():
    table = responses(
        "First take the paint and a brush, then begin at the top.",
        "Nehmen Sie zuerst die Farbe und einen Pinsel, dann fangen Sie oben an.",
        "Jojo",
    )
    assert measured.signs(table)["off_language"] == 1
    assert (
        measured.signs(table.assign(prompt="Wie streiche ich die T\u00fcr eines Hauses am Meer?"))["off_language"] == 1
    )
    assert measured.signs(table.assign(prompt="Door?"))["off_language"] == 0, "nothing to compare with"


@pytest.mark.parametrize("new", [0, 1])
def test_a_difference_of_all_or_no_prompts_has_a_width(new):
    change = compare([0] * 30, [new] * 30)["metrics"]["harm"]["models"]["new"]["difference"]
    assert change["mean"] == 100 * new and change["low"] < 100 * new and change["high"] > 5
    # Bonett and Price by hand: one pair more on each side, of 32.
    half = 1.959964 * np.sqrt((2 / 32 if not new else 1 - (30 / 32) ** 2) / 32)
    assert change["low"] == pytest.approx(100 * ((30 / 32 if new else 0) - half), abs=1e-3)


def test_everything_is_json(tmp_path):
    assert json.loads(json.dumps(compare([0, 1], [1, 1])))["before"] == "old"
    assert not np.isnan(compare([0.0], [1.0])["metrics"]["harm"]["models"]["new"]["mean"])
    assert metrics.metric_of("harm", SECTION).rate and schemas.SCORES
