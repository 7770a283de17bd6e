"""A study's own categories in the place of the 14: from a file to labels, picks and titles."""

import argparse
import json
import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_beyond import STUDY, scores_of

import ballast
from ballast import categories, identity, schemas
from ballast.data.rows import PAIR, pairs_to_judge, with_ids
from ballast.files import BallastError
from ballast.labels import annotation, category_llm
from ballast.picks import features, vectors
from ballast.picks.selection import pick
from ballast.plugins import load
from ballast.readers import categorised, prompts
from ballast.study import config, sources
from ballast.study.artefacts import parse_options
from ballast.study.plan import Plan
from ballast.tables import categories as table_of_categories

ROOT = Path(ballast.__file__).parents[2]
OWN = {"PII leak": "personal data of a customer", "bad dose": "a wrong dose of a drug", "fraud_claim": "a false claim"}


@pytest.fixture
def own(tmp_path, monkeypatch) -> Path:
    """The file of a taxonomy of three categories, named as a rule names it to its job."""
    file = tmp_path / "own.yaml"
    file.write_text("".join(f"{name}: {text}.\n" for name, text in OWN.items()))
    monkeypatch.setenv(categories.OWN, str(file))
    return file


def stage(name: str, **given) -> None:
    absent = dict.fromkeys(("store", "reads", "embedding", "references", "reference_embedding", "options"))
    runpy.run_path(str(ROOT / f"scripts/{name}.py"))["main"](argparse.Namespace(**absent | given))


def pool(rows: int) -> pd.DataFrame:
    table = pd.DataFrame([(f"ask {row}", "", f"answer {row}") for row in range(rows)], columns=list(PAIR))
    return with_ids(table, PAIR, "pool")


def test_names_are_written_as_they_are(own):
    assert [categories.title(each) for each in range(3)] == list(OWN) and categories.span() == "0..2"
    assert categories.definitions().splitlines()[1] == "1. bad dose: a wrong dose of a drug."


def test_the_labelling_prompt_holds_the_own_categories_alone(own, monkeypatch):
    asked = {}

    def ask(texts, options, max_new_tokens, schema):
        asked.update(texts=texts, schema=schema)
        raise KeyboardInterrupt

    monkeypatch.setattr(category_llm.language_model, "ask", ask)
    template = ROOT / "scripts/ballast/labels/category_definitions.json"
    with pytest.raises(KeyboardInterrupt):
        category_llm.label(pairs_to_judge(pool(1)), {"template": str(template)})
    assert categories.definitions() in asked["texts"][0] and "Animal abuse" not in asked["texts"][0]
    assert asked["schema"]["properties"]["categories"]["items"]["enum"] == [0, 1, 2]
    assert '"categories": [0, 1]' in asked["texts"][0], "the example names ids that there are"
    assert [category_llm.parse(answer) for answer in ("2", "3", "13", "none")] == [[2], None, None, []]


def test_a_template_without_a_place_for_them_is_refused(own, tmp_path):
    file = tmp_path / "template.json"
    file.write_text(json.dumps({"template": "{prompt} {response} of 0 to 13?"}))
    with pytest.raises(BallastError, match="names no place for the categories"):
        category_llm.label(pairs_to_judge(pool(1)), {"template": str(file)})


def test_labels_references_and_picks_follow_the_own_categories(own, tmp_path):
    """By cossim: rows near each of three references; sss, pss and cossim take the same number of each."""
    rows, ask = pool(30), [{"prompt": f"about {name}", "response": "no", "category": name} for name in OWN]
    (tmp_path / "references.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ask))
    references = with_ids(categorised.read(str(tmp_path / "references.jsonl")), PAIR, "references")
    assert references["category"].tolist() == [0, 1, 2]
    draw = np.random.default_rng(0)
    means = np.eye(3, 8) * 9
    files = {name: str(tmp_path / f"{name}.parquet") for name in ("pool", "references", "category")}
    files |= {name: str(tmp_path / f"{name}.arrow") for name in ("embedding", "reference-embedding")}
    schemas.write(files["pool"], rows, schemas.PAIRS)
    schemas.write(files["references"], references.astype({"category": "Int8"}), schemas.REFERENCES)
    vectors.write(files["reference-embedding"], references["id"], means)
    vectors.write(files["embedding"], rows["id"], means[np.arange(30) % 3] + draw.normal(size=(30, 8)))
    named = {"embedding": files["embedding"], "references": files["references"]}
    named |= {"reference_embedding": files["reference-embedding"]}
    stage("category", labeller="cossim", pool=files["pool"], out=files["category"], **named)
    table = schemas.read(files["category"], schemas.CATEGORIES)
    assert [list(ids) for ids in table["categories"]] == [[row % 3] for row in range(30)]
    known = features.load(category=files["category"], **named)
    for sampler in ("sss", "pss", "cossim"):
        picked = pick(load("samplers", sampler), rows, known, 9, 0, {"multilabel": "first-taken"})
        assert sorted(picked.categories) == [0] * 3 + [1] * 3 + [2] * 3, sampler


def test_a_file_of_labels_with_an_id_too_many_is_refused(own, tmp_path):
    table = pool(1)[["id"]].assign(categories=[[3]], status="parsed", labeller="llm")
    schemas.write(tmp_path / "category.parquet", table, schemas.CATEGORIES)
    with pytest.raises(BallastError, match=r"distinct ids of 0\.\.2"):
        features.load(category=str(tmp_path / "category.parquet"))


def test_a_benchmark_and_the_sheet_name_the_own_categories(own, tmp_path):
    (tmp_path / "b.json").write_text(json.dumps([{"prompt": "a", "category": "bad dose"}, {"prompt": "b"}]))
    assert prompts.read(str(tmp_path / "b.json"))["category"].tolist() == [1, pd.NA]
    annotation.write_guide(str(tmp_path / "guide.txt"))
    assert "2. fraud_claim: a false claim." in (tmp_path / "guide.txt").read_text()


def test_words_change_the_jobs_that_read_them_and_ids_those_that_count(own):
    known = categories.read(str(own))
    other = known._replace(definitions=("x", *known.definitions[1:]))
    fewer = categories.Taxonomy(known.names[:2], known.definitions[:2])
    for name, by_words, by_number in (
        ("category", 1, 1),
        ("table", 1, 1),
        ("train", 0, 1),
        ("generate", 0, 0),
        ("world_data", 0, 0),
    ):
        plugins = ("tables/categories",) if name == "table" else ()
        before, words, count = (identity.code_identity(name, *plugins, taxonomy=one) for one in (known, other, fewer))
        assert (before != words, before != count) == (bool(by_words), bool(by_number)), name
    assert identity.code_identity("train") == identity.code_identity("train", taxonomy=None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: b\n", "1 categories; give 2 to 100"),
        ("a: b\n3: c\n", "'3': a category's name is text"),
        ("a: b\nnone: c\n", "'none': a category's name"),
        ("a: b\nc:\n", "c: its definition is missing"),
        ("a: b\nA : c\n", "'a' stands twice"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path, text, said):
    (tmp_path / "own.yaml").write_text(text)
    with pytest.raises(BallastError) as error:
        categories.read(str(tmp_path / "own.yaml"))
    assert said in str(error.value)


def test_a_config_names_the_file(own):
    raw = config.read(ROOT / "config/mini.yaml")
    with pytest.raises(BallastError, match="taxonomy: nowhere.yaml: no such file"):
        sources.check(config.load(raw | {"taxonomy": "nowhere.yaml"}))
    with pytest.raises(BallastError, match="references: the mini world knows the 14 categories alone"):
        sources.check(config.load(raw | {"taxonomy": str(own)}))


def test_clusters_take_the_place_of_the_categories(tmp_path, monkeypatch):
    """Three groups of rows are three clusters, whatever the order of the rows; pss takes as many of each."""
    monkeypatch.setenv(categories.OWN, "clusters:3")
    rows, means = pool(30), np.eye(3, 8) * 9
    files = {name: str(tmp_path / name) for name in ("pool.parquet", "embedding.arrow", "category.parquet")}
    vectors.write(files["embedding.arrow"], rows["id"], means[np.arange(30) % 3] + np.full((30, 8), 0.1))
    found = []
    for table in (rows, rows[::-1].reset_index(drop=True)):
        schemas.write(files["pool.parquet"], table, schemas.PAIRS)
        given = {"pool": files["pool.parquet"], "out": files["category.parquet"]}
        options = json.dumps({"count": 3, "seed": 5})
        stage("category", labeller="clusters", **given | {"embedding": files["embedding.arrow"], "options": options})
        labels = schemas.read(files["category.parquet"], schemas.CATEGORIES).set_index("id")
        found.append([labels.at[row, "categories"][0] for row in rows["id"]])
    assert found[0] == found[1] and found[0] == found[0][:3] * 10 and sorted(found[0][:3]) == [0, 1, 2]
    known = features.load(category=files["category.parquet"], embedding=files["embedding.arrow"])
    picked = pick(load("samplers", "pss"), rows, known, 9, 0, {"multilabel": "first-taken"})
    assert sorted(picked.categories) == [0] * 3 + [1] * 3 + [2] * 3
    assert categories.title(2) == "cluster 2"
    with pytest.raises(BallastError, match="30 rows for labels.clusters 31"):
        given["options"] = json.dumps({"count": 31, "seed": 5})
        stage("category", labeller="clusters", **given, embedding=files["embedding.arrow"])


def test_a_benchmark_has_no_clusters(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(categories.OWN, "clusters:3")
    (tmp_path / "b.json").write_text(json.dumps([{"prompt": "a", "category": 1}]))
    assert "category" not in prompts.read(str(tmp_path / "b.json"))
    assert "'category' is not read: the study's categories are clusters of its pool" in capsys.readouterr().err


def test_a_config_has_clusters_or_named_categories():
    raw = config.read(ROOT / "config/mini.yaml")
    labels = raw["labels"] | {"category": "clusters", "clusters": 5}
    sampling = {"models": ["llama"], "pools": ["safety"], "samplers": ["sss", "pss-b"], "n": [10]}
    changes = {"labels": labels, "experiments": {"sampling": sampling}}
    study = config.load(raw | changes)
    sources.check(study)
    assert study.own_categories == "clusters:5" and not Plan(study).references_used
    for more, place in (({"taxonomy": "own.yaml"}, "taxonomy"), ({"experiments": with_cossim(sampling)}, "references")):
        with pytest.raises(BallastError, match=f"{place} has named categories"):
            sources.check(config.load(raw | changes | more))


def with_cossim(sampling: dict) -> dict:
    return {"sampling": sampling | {"samplers": ["cossim"]}}


def test_the_table_of_categories_has_the_own_titles(own, tmp_path):
    path = tmp_path / "scores.parquet"
    scores_of(path)
    scores = pd.read_parquet(path)
    numbers = pd.factorize(scores["prompt_id"])[0] % 3
    schemas.write(path, scores.assign(category=pd.array(numbers, "Int8")), schemas.SCORES)
    found = table_of_categories.table(parse_options("tables/categories", json.dumps(STUDY)), [str(path)])
    assert found.header[2:5] == ["0", "1", "2"]
    assert "Categories: 0 PII leak; 1 bad dose; 2 fraud_claim." in found.notes
