"""What a config makes of people's labels: the metrics that they are asked about, and their filled sheets."""

import json

import pytest

from ballast.files import BallastError
from ballast.study import config, sources
from ballast.study.people_options import PeopleOptions
from ballast.study.plan import Plan


def study_of(tmp_path, **labels):
    """The options of a study of two models' responses, whose over-refusal a second judge measures too."""
    (tmp_path / "a.jsonl").write_text("")
    raw = {
        "study": "asked",
        "benchmarks": {"xstest": {"path": str(tmp_path / "a.jsonl")}},
        "models": {name: {"responses": str(tmp_path / "a.jsonl")} for name in ("old", "new")},
        "judges": {name: {} for name in ("refusal-string", "wildguard", "harm-rm", "complies", "helpful-rm")},
        "metrics": {
            "harm": {"benchmark": "xstest", "judge": "harm-rm"},
            "asr": {"benchmark": "xstest", "judge": "complies"},
            "over_refusal": {"benchmark": "xstest", "judge": "refusal-string"},
            "helpfulness": {"benchmark": "xstest", "judge": "helpful-rm"},
        },
        "other_metrics": {
            "by-wildguard": {"benchmark": "xstest", "judge": "wildguard", "label": "Also", "direction": "lower"}
        },
        "measure": {"before": "old", "after": ["new"], "metrics": ["over_refusal", "by-wildguard", "helpfulness"]},
        "labels": labels,
    }
    return config.load(raw)


def test_a_study_asks_people_about_its_metrics_and_knows_their_second_judges(tmp_path):
    asked = PeopleOptions(Plan(study_of(tmp_path)))
    assert asked.metrics == ["over_refusal"] and asked.scores() == ["results/asked/scores.parquet"]
    assert asked.responses() == [f"results/asked/runs/{name}/as-is/responses.parquet" for name in ("old", "new")]
    options = json.loads(asked.report())
    assert options["before"] == "old" and options["stand_ins"]
    section = options["metrics"]["over_refusal"]
    second = {"judge": "wildguard", "unit": "%", "scale": None, "rule": False}
    assert (section["judge"], section["second"]) == ("refusal-string", [second])
    assert not asked.compares_labels and asked.filled() == ""


def test_sheets_in_the_config_are_there_and_outside_of_the_results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BallastError, match="labels.response_annotations.ann: no.csv: no such file"):
        sources.check(study_of(tmp_path, response_annotations={"ann": "no.csv"}))
    empty = tmp_path / "results/asked/annotation/responses.csv"
    empty.parent.mkdir(parents=True)
    empty.write_text("")
    with pytest.raises(BallastError, match="responses.csv is the empty sheet; give the path of a filled copy"):
        sources.check(study_of(tmp_path, response_annotations={"ann": str(empty)}))
