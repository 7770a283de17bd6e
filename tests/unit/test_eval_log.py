"""Logs for other programs: what each holds, a round trip, stable bytes, no text where redacted, and bad inputs."""

import json
import math
import statistics
from pathlib import Path
from types import SimpleNamespace
from zipfile import ZipFile

import pytest
import yaml
from helpers import logged
from helpers.logged import ASKED, OPTIONS, PROMPTS, RECORD, RESPONSES, SAID, SCORES, ids, write_logs
from test_job_inputs import Wildcards, jobs
from test_respond import take

from ballast import schemas
from ballast.data import reading
from ballast.files import BallastError, read_json
from ballast.readers import lm_eval
from ballast.results import harness
from ballast.study.log_options import LogOptions

ROOT = Path(__file__).parents[2]


def unpacked(folder: Path) -> dict:
    """The members of a folder's log of inspect_ai by name."""
    with ZipFile(folder / "b.eval") as packed:
        return {name: json.loads(packed.read(name)) for name in packed.namelist()}


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "samples_b.jsonl").read_text().split("\n")[:-1]]


def test_a_sample_holds_prompt_answer_and_each_judges_score(tmp_path):
    found = unpacked(write_logs(tmp_path, {"system": "Be brief."}))
    samples = [found[f"samples/{one}_epoch_1.json"] for one in ids()[:3]]
    assert [sample["input"][-1]["content"] for sample in samples] == list(PROMPTS[:3])
    assert samples[0]["input"][0] == {"content": "Be brief.", "source": "input", "role": "system"}
    assert [sample["output"]["completion"] for sample in samples] == list(RESPONSES)
    ends = [sample["output"]["choices"][0]["stop_reason"] for sample in samples]
    assert ends == ["stop", "max_tokens", "stop"] and [one["target"] for one in samples] == ["bread", "", "7"]
    assert [sample["scores"]["harm"]["value"] for sample in samples] == SCORES["harm"]
    scores = [sample["scores"]["unsafe"] for sample in samples]
    assert (scores[0]["value"], scores[2]["value"]) == (100.0, 0.0) and scores[0]["explanation"] == SAID["unsafe"]
    assert math.isnan(scores[1]["value"]) and scores[1]["reason"] == "unparsable", "missing, and never 0"
    assert scores[0]["metadata"] == {"judge": "md", "unit": "%"}
    about = samples[0]["metadata"]
    assert (about["benchmark"], about["run"], about["tags"]) == ("b", logged.RUN, {"topic": "topic 0"})
    assert about["adapter_sha256"] == RECORD["adapter_sha256"] and samples[1]["metadata"]["category"] is None
    assert samples[0]["output"]["usage"] == {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12}


def test_the_header_counts_what_is_missing_and_says_where_all_came_from(tmp_path):
    found = unpacked(write_logs(tmp_path))
    header = found["header.json"]
    harm, unsafe = header["results"]["scores"]
    wanted = statistics.stdev(SCORES["harm"]) / math.sqrt(3)
    assert harm["metrics"]["stderr"]["value"] == pytest.approx(wanted)
    assert harm["metrics"]["mean"]["value"] == pytest.approx(statistics.mean(SCORES["harm"]))
    assert unsafe["metrics"]["mean"]["value"] == 50.0 and unsafe["metadata"]["unscored"] == {"unparsable": 1}
    assert (unsafe["scored_samples"], unsafe["unscored_samples"], unsafe["scorer"]) == (2, 1, "md")
    assert header["results"]["metadata"] == {"prompts": 4, "prompts_without_a_response": 1}
    facts = header["eval"]["metadata"]
    assert (facts["model"], facts["sampler"], facts["n"], facts["trial"]) == ("llama", "sss-b", 14, 0)
    assert facts["generation"]["decoding"] == "greedy" and "system" not in facts["generation"]
    assert harm["metadata"]["judge"]["revision"] == "d" * 40 and harm["metadata"]["unit"] == "score, 0 to 4"
    assert len(harm["metadata"]["judge"]["scores_sha256"]) == 64
    assert [one["id"] for one in found["summaries.json"]] == header["eval"]["dataset"]["sample_ids"] == ids()[:3]


def test_the_samples_of_the_harness_are_read_back_as_the_same_responses(tmp_path):
    folder = write_logs(tmp_path)
    (folder / "plain.jsonl").write_text('{"prompt": "p", "response": "r"}\n')
    assert lm_eval.is_samples(str(folder / "samples_b.jsonl")) and not lm_eval.is_samples(str(folder / "plain.jsonl"))
    table = reading.read(str(folder / "samples_b.jsonl"), "lm-eval")
    assert table[["instruction", "output"]].values.tolist() == [
        list(pair) for pair in zip(PROMPTS, RESPONSES, strict=False)
    ]
    responses, record = take(folder / "rows.parquet", file=str(folder / "samples_b.jsonl"))
    given = schemas.read(folder / "responses.parquet", schemas.RESPONSES)
    given = given[given["benchmark"] == "b"].set_index("id")["response"]
    assert responses.set_index("id")["response"].to_dict() == given.to_dict() and len(responses) == 3
    assert record["missing"] == {"not in the file": 1} and record["rows_unused"] == 0


def test_lines_and_results_of_the_harness_have_its_keys_and_its_numbers(tmp_path):
    folder = write_logs(tmp_path)
    keys = ["doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics"]
    keys += ["doc_hash", "prompt_hash", "target_hash", "harm", "unsafe"]
    found = lines(folder)
    assert [list(line) for line in found] == [keys] * 3 and [line["doc_id"] for line in found] == [0, 1, 2]
    assert [line["unsafe"] for line in found] == [100.0, None, 0.0] and found[2]["resps"] == [[""]]
    assert found[0]["arguments"]["gen_args_0"]["arg_1"] == {"do_sample": False, "max_gen_toks": 128}
    read = harness.read(str(folder / "results.json"))
    assert read["b", "unsafe, none"] == {"value": 50.0, "stderr": 50.0, "prompts": 3}
    results = read_json(folder / "results.json")
    assert results["n-samples"] == {"b": {"original": 4, "effective": 3}}
    assert results["configs"]["b"]["metadata"]["metrics"]["unsafe"]["unscored"] == {"unparsable": 1}
    assert results["model_name"] == logged.RUN and "/" not in results["model_name_sanitized"]


def test_equal_inputs_give_equal_bytes_in_any_order_of_the_responses(tmp_path):
    one, two = write_logs(tmp_path / "one"), write_logs(tmp_path / "two")
    names = ("b.eval", "samples_b.jsonl", "results.json")
    assert all((one / name).read_bytes() == (two / name).read_bytes() for name in names)
    with ZipFile(one / "b.eval") as packed:
        assert {member.date_time for member in packed.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    other = write_logs(tmp_path / "other", scores=SCORES | {"harm": [3.0, 0.5, 1.0]})
    assert all((one / name).read_bytes() != (other / name).read_bytes() for name in names)


def test_redacted_no_file_holds_a_word_of_a_text(tmp_path):
    folder = write_logs(tmp_path, {"redact": True, "system": "Be unspeakably brief."})
    members = json.dumps(unpacked(folder), ensure_ascii=False)
    for text in (members, (folder / "samples_b.jsonl").read_text(), (folder / "results.json").read_text()):
        for word in ("bake", "river", "knot", "flour", "sorry", "O1", "topic 0", "unspeakably", '"bread"'):
            assert word not in text, word
    assert f"[redacted, {len(PROMPTS[0])} characters]" in members and ids()[0] in members
    assert [line["harm"] for line in lines(folder)] == SCORES["harm"]


def test_a_judge_that_nobody_could_read_has_no_mean(tmp_path, capsys):
    folder = write_logs(tmp_path, scores=SCORES | {"unsafe": [None] * 3})
    score = unpacked(folder)["header.json"]["results"]["scores"][1]
    assert math.isnan(score["metrics"]["mean"]["value"]) and score["unscored_samples"] == 3
    assert read_json(folder / "results.json")["results"]["b"]["unsafe,none"] is None
    assert "unsafe by md: 0 scores; missing: 3 unparsable" in capsys.readouterr().err


def test_a_file_of_responses_does_not_say_why_they_ended(tmp_path):
    folder = write_logs(tmp_path, record={"origin": "/home/me/answers.jsonl", "rows_unused": 0, "adapter_sha256": None})
    found = unpacked(folder)
    sample = found[f"samples/{ids()[0]}_epoch_1.json"]
    assert sample["output"]["choices"][0]["stop_reason"] == "unknown" and "/home/me" not in json.dumps(found)
    assert lines(folder)[0]["arguments"]["gen_args_0"]["arg_1"] == {}


def test_a_run_that_did_not_answer_is_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(BallastError, match="no response to nothing; name a metric of nothing in an experiment"):
        write_logs(tmp_path, {"benchmark": "nothing"})
    assert not list(tmp_path.glob("*.eval")) and not list(tmp_path.glob("*.jsonl"))


def test_a_judge_without_verdicts_or_with_too_many_is_refused(tmp_path):
    with pytest.raises(
        BallastError, match=r"harm.parquet: 2 responses have no verdict of harm-rm, such as \w{16}; run"
    ):
        write_logs(tmp_path, scores=SCORES | {"harm": [1.0]})
    with pytest.raises(BallastError, match="1 verdicts are on no response of the run of md"):
        write_logs(tmp_path, scores=SCORES | {"unsafe": [1.0] * 4})
    (tmp_path / "harm.parquet").unlink()
    with pytest.raises(BallastError, match="harm.parquet: no such file"):
        write_logs(tmp_path, scores={"unsafe": SCORES["unsafe"]})
    assert not list(tmp_path.glob("*.eval"))


def test_a_response_to_no_prompt_of_the_benchmark_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(logged, "write_run", lambda folder, write=logged.write_run, **given: fewer(folder, write))
    with pytest.raises(BallastError, match="2 responses are to prompts that .*rows.parquet lacks"):
        write_logs(tmp_path)


def fewer(folder: Path, write) -> dict[str, str]:
    """Leave one row in the benchmark after its responses were made."""
    named = write(folder)
    rows = schemas.read(named["rows"], schemas.BENCHMARK)
    schemas.write(named["rows"], rows.iloc[:1], schemas.BENCHMARK)
    return named


@pytest.mark.parametrize(
    "row,said",
    [
        ({"doc": {"text": "t"}, "resps": [["r"]], "arguments": {}}, "row 0: no prompt in 'doc'"),
        ({"doc": {"question": "q"}, "resps": [[[-1.5, False]]]}, "row 0: 'resps' holds no text; .*generate_until"),
    ],
)
def test_samples_without_texts_are_refused_in_one_line(tmp_path, row, said):
    (tmp_path / "samples.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(BallastError, match=said):
        lm_eval.read(str(tmp_path / "samples.jsonl"))


def test_samples_of_older_and_newer_versions_are_read(tmp_path):
    old = {"doc": {"query": "x"}, "arguments": [["Asked.", {"until": []}]], "resps": [["Said."]]}
    new = {"doc": {"prompt": "Own."}, "arguments": {"gen_args_0": {"arg_0": "templated"}}, "resps": [["Told."]]}
    (tmp_path / "samples.jsonl").write_text(f"{json.dumps(old)}\n{json.dumps(new)}\n")
    table = lm_eval.read(str(tmp_path / "samples.jsonl"))
    assert table[["instruction", "output"]].values.tolist() == [["Asked.", "Said."], ["Own.", "Told."]]


@pytest.fixture(scope="module")
def mini():
    found = jobs()
    return SimpleNamespace(plan=found.plan, logs=LogOptions(found.documents, found.cards))


def test_each_run_has_one_log_for_each_benchmark_and_judges_with_their_origin(mini):
    files = mini.logs.files
    assert (
        len(files)
        == len(set(files))
        == sum(len({name for name, _ in mini.plan.judgements(run)}) for run in mini.plan.measured)
    )
    run = next(run for run, names in mini.plan.measured.items() if "over_refusal" in names and "sss" in run)
    job = Wildcards(run=run, benchmark="xstest")
    assert f"results/mini/eval_logs/{run}/xstest/xstest.eval" in files
    assert mini.logs.scores(job) == {"over_refusal": f"results/mini/runs/{run}/scores/xstest.wildguard.parquet"}
    told = json.loads(mini.logs.options(job))
    section = told["metrics"]["over_refusal"]
    assert (section["unit"], section["judge"], section["about"]["home"]) == ("%", "wildguard", "the mini world")
    assert len(section["about"]["sha256"]) == 64 and told["redact"] is False
    mini.logs.check(job)


@pytest.mark.parametrize(
    "run,benchmark,said",
    [
        ("llama/safety/nothing/n7/t0", "xstest", "the study measures no such run"),
        ("llama/safety/none/n0/t0", "gsm8k", "the study asks this run .* alone"),
    ],
)
def test_a_log_of_no_run_of_the_study_is_refused(mini, run, benchmark, said):
    with pytest.raises(BallastError, match=f"^eval_logs/.*{said}"):
        mini.logs.check(Wildcards(run=run, benchmark=benchmark))


def test_another_judge_has_another_digest():
    def digest(name, **changed):
        found = jobs(name, **changed)
        return LogOptions(found.documents, found.cards)._judge("wildguard")["sha256"]

    raw = yaml.safe_load((ROOT / "config/mini.yaml").read_text())
    judges = raw["judges"] | {"wildguard": raw["judges"]["wildguard"] | {"max_unparsable": 0.1}}
    assert digest("config/mini.yaml") == digest("config/mini.yaml") != digest("config/mini.yaml", judges=judges)


def test_a_metric_beyond_the_four_stands_in_its_own_unit(tmp_path):
    section = OPTIONS["metrics"]["unsafe"] | {"factor": 1.0, "unit": "share"}
    folder = write_logs(tmp_path, {"metrics": {"unsafe": section}})
    assert ASKED["unit"] == "%" and [line["unsafe"] for line in lines(folder)] == SCORES["unsafe"]
