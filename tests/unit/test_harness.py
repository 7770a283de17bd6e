"""Results of lm-evaluation-harness beside ours: what is read, compared and refused."""

import json

import pytest

from ballast.files import BallastError
from ballast.results import harness

# The shape of a results file of lm-evaluation-harness 0.4.
BEFORE = {
    "results": {
        "ifeval": {
            "alias": "ifeval",
            "prompt_level_strict_acc,none": 0.60,
            "prompt_level_strict_acc_stderr,none": 0.03,
            "inst_level_strict_acc,none": 0.70,
            "inst_level_strict_acc_stderr,none": "N/A",
        },
        "mmlu": {"alias": "mmlu", "acc,none": 0.40, "acc_stderr,none": 0.004},
    },
    "n-samples": {"ifeval": {"original": 541, "effective": 541}, "mmlu": {"original": 14042, "effective": 14042}},
}


@pytest.fixture
def compared(tmp_path):
    after = json.loads(json.dumps(BEFORE))
    after["results"]["ifeval"]["prompt_level_strict_acc,none"] = 0.50
    after["results"]["ifeval"]["prompt_level_strict_acc_stderr,none"] = 0.04
    after["n-samples"]["ifeval"]["effective"] = 100
    del after["results"]["mmlu"]
    for name, content in (("before", BEFORE), ("after", after)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return harness.compare(
        {name: harness.read(str(tmp_path / f"{name}.json")) for name in ("before", "after")}, "before"
    )


def test_a_difference_takes_both_standard_errors(compared):
    one = compared["ifeval"]["prompt_level_strict_acc, none"]
    assert one["before"] == {"value": 0.6, "stderr": 0.03, "prompts": 541}
    change = one["after"]["difference"]
    # By hand: 1.96 * sqrt(0.03^2 + 0.04^2) = 0.098.
    assert [round(change[key], 3) for key in ("mean", "low", "high")] == [-0.1, -0.198, -0.002]


def test_without_standard_errors_there_is_no_interval(compared):
    change = compared["ifeval"]["inst_level_strict_acc, none"]["after"]["difference"]
    assert (change["mean"], change["low"], change["high"]) == (0, None, None)
    assert "difference" not in compared["mmlu"]["acc, none"]["before"] and "after" not in compared["mmlu"]["acc, none"]


def test_the_page_names_other_numbers_of_prompts(compared):
    text = "\n".join(harness.paragraphs(compared, {"after": "Mine"}))
    row = next(line for line in text.splitlines() if "Mine" in line and "prompt" in line)
    assert [cell.strip() for cell in row.split("|")][3:-1] == [
        "Mine",
        "0.500 (0.040)",
        "100",
        "-0.100 (-0.198 to -0.002)",
    ]
    assert "Other numbers of prompts before and after: ifeval." in text and "Ballast did not run these tasks" in text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"rows": []}, "no 'results' of tasks here; give the file results_<date>.json"),
        ([1], "no 'results' of tasks here"),
        ({"results": {"ifeval": {"alias": "ifeval", "acc,none": "N/A"}}}, "no task of its results has a number"),
    ],
)
def test_another_file_is_refused_in_one_line(tmp_path, content, said):
    (tmp_path / "x.json").write_text(json.dumps(content))
    with pytest.raises(BallastError, match=said.replace("(", "[(]")) as error:
        harness.read(str(tmp_path / "x.json"))
    assert "\n" not in str(error.value)
