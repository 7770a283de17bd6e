"""A pool in a language that its labeller or encoder does not read stops, and English data never does."""

import argparse
import json
import os
import runpy
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

import ballast
from ballast import api, schemas
from ballast.data import inspection, languages
from ballast.data.rows import PAIR, with_ids
from ballast.files import BallastError
from ballast.study import config
from ballast.study.job_inputs import JobInputs
from ballast.study.job_options import JobOptions
from ballast.study.plan import Plan

ROOT = Path(ballast.__file__).parents[2]
DATA = Path(os.environ.get("BALLAST_DATA", ROOT.parent / "shared/data"))
TOWNS = ["Oslo", "Bergen", "Turku", "Riga", "Bonn", "Paris", "Rom", "Wien", "Graz", "Linz"]
GERMAN = [(f"Wie komme ich ohne Fahrkarte nach {town}?", "Dabei kann ich leider nicht helfen.") for town in TOWNS]
ENGLISH = [(f"How do I get to {town} without a ticket?", "I'm sorry, I cannot help with that.") for town in TOWNS]


def pool(rows) -> pd.DataFrame:
    return with_ids(pd.DataFrame([(a, "", b) for a, b in rows], columns=list(PAIR)), PAIR, "pool")


def label(folder: Path, rows, reads: list[str] | None) -> list[str]:
    """Label rows by the stage's program and the English rule."""
    schemas.write(folder / "pool.parquet", pool(rows), schemas.PAIRS)
    given = {"pool": folder / "pool.parquet", "out": folder / "out.parquet", "judge": "refusal-string"}
    given |= {"options": "{}", "store": None, "canaries": None, "reads": reads and json.dumps(reads)}
    runpy.run_path(str(ROOT / "scripts/behaviour.py"))["main"](argparse.Namespace(**given))
    return schemas.read(folder / "out.parquet", schemas.BEHAVIOUR)["behaviour"].tolist()


def test_german_rows_are_no_t2_by_an_english_rule(tmp_path):
    with pytest.raises(BallastError) as error:
        label(tmp_path, GERMAN, ["en"])
    assert "100.0% of the rows are in languages that refusal-string does not read (de 100.0%; it reads en)" in str(
        error.value
    )
    assert "labels.other_languages to keep" in str(error.value) and not (tmp_path / "out.parquet").exists()
    assert label(tmp_path, GERMAN, None) == ["T2"] * 10, "somebody asked for it"
    assert label(tmp_path, ENGLISH, ["en"]) == ["T1"] * 10


def test_a_few_rows_are_counted_and_many_stop(capsys, tmp_path):
    more = [(f"{request} Please tell me.", response) for request, response in ENGLISH]
    assert len(label(tmp_path, more + ENGLISH + GERMAN[:1], ["en"])) == 21
    assert "4.8% of the rows are in languages that refusal-string does not read (de 4.8%" in capsys.readouterr().err
    with pytest.raises(BallastError, match="9.1% of the rows"):
        label(tmp_path, ENGLISH + GERMAN[:1], ["en"])


def test_the_embedding_stage_stops_before_it_loads_an_encoder(tmp_path):
    pytest.importorskip("safetensors", reason="the library's own packages do not embed")
    schemas.write(tmp_path / "pool.parquet", pool(GERMAN), schemas.PAIRS)
    given = {"pairs": tmp_path / "pool.parquet", "out": tmp_path / "out.arrow", "model": "nowhere", "batch_size": 4}
    with pytest.raises(BallastError, match="that embedding.model does not read"):
        runpy.run_path(str(ROOT / "scripts/embed.py"))["main"](argparse.Namespace(**given, reads='["en"]'))


def test_python_labels_no_german_rows():
    with pytest.raises(BallastError, match="the rule does not read"):
        api.label(pool(GERMAN).drop(columns="id"))


def reads(**changes) -> tuple[str, str, str]:
    """Return what the judge, the category labeller and the encoder of a pool of one's own are held to."""
    raw = config.read(ROOT / "config/mini.yaml")
    changes = {"pools": {"safety": {"path": "pool.json"}}} | changes
    given = {name: raw[name] | value if isinstance(raw.get(name), dict) else value for name, value in changes.items()}
    options = JobOptions(JobInputs(Plan(config.load(raw | given))))
    job = SimpleNamespace(pool="safety", dataset="pools/safety")
    found = options.behaviour_files("safety"), options.category_files(job), options.encoder_reads(job)
    return tuple(each.partition("--reads ")[2] for each in found)


def test_every_english_labeller_of_a_file_is_held_to_english():
    assert reads() == ("'[\"en\"]'",) * 3
    assert reads(pools={}) == ("", "", ""), "the made language of mini is judged by judges that learnt it"
    assert reads(labels={"other_languages": "keep"}) == ("", "", "")


def test_an_inspection_stops_where_the_judge_will(tmp_path):
    pytest.importorskip("sklearn", reason="the library's own packages do not inspect")
    file = tmp_path / "pool.jsonl"
    file.write_text("".join(json.dumps({"prompt": a, "response": b}) + "\n" for a, b in GERMAN))
    checks = {"unreadable": 0.01, "empty": 0.01, "leaks": "stop", "reasoning": "stop"}
    found = {}
    for reads in ((), ("en",), ("de", "en")):
        datasets = [inspection.read(name, str(file), "auto", {}, reads=reads) for name in ("base", "pools/own")]
        options = {"checks": checks, "asked": {}, "labeller": "qwen3guard"}
        found[reads] = inspection.inspect(datasets, {}, options).stops()
    said = "100% of the rows are not English (de); the judge that labels behaviour reads en"
    assert any(said in one for one in found["en",])
    assert not any("not English" in one for reads in ((), ("de", "en")) for one in found[reads])


def test_a_config_states_what_its_judges_read():
    judge = {"wildguard": {"world": "wildguard", "languages": ["en", "de"]}}
    assert reads(judges=judge)[0] == '\'["en", "de"]\''
    guard = {"judges": {"qwen3guard": {"path": "/guard"}}, "labels": {"behaviour": "qwen3guard"}}
    assert reads(**guard)[0] == "", "its plug-in declares any language"
    assert reads(labels={"category_languages": "any"}, embedding={"languages": "any"})[1:] == ("", "")
    with pytest.raises(BallastError, match="judges.wildguard.languages"):
        reads(judges={"wildguard": {"world": "wildguard", "languages": ["German"]}})


@pytest.mark.parametrize(
    ("file", "request_", "response"),
    [
        ("safety-tuned-llamas/safety_pool.vinid.json", "instruction", "output"),
        ("alpaca/alpaca_random_9229.alpagasus.json", "instruction", "output"),
    ],
)
def test_real_english_data_is_never_stopped(file, request_, response):
    if not (DATA / file).is_file():
        pytest.skip(f"{DATA / file} is not here (BALLAST_DATA)")
    rows = json.loads((DATA / file).read_text())[::10]
    found = languages.foreign(languages.shares([f"{row[request_]}\n{row[response]}" for row in rows]))
    assert sum(found.values()) < languages.FOREIGN / 10
