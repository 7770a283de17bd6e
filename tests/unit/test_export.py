"""Exported subsets: rows as in the pool's file, in rank order, in each form; the card, the plane and the picture."""

import argparse
import functools
import json
import re
import shutil
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pytest
import trl
import yaml

import export as stage
from ballast import schemas
from ballast.categories import CATEGORIES
from ballast.data import data_card, export, forms
from ballast.data.rows import PAIR, with_ids
from ballast.files import BallastError, write_csv, write_parquet
from ballast.picks import vectors
from plane import plane

COUNT = 30


def chat(number: int) -> list[dict]:
    system = [{"from": "system", "value": "Be brief."}]
    return system + [{"from": "human", "value": f"Ask {number}."}, {"from": "gpt", "value": f"Answer \u2028{number}."}]


MADE = {
    "alpaca": lambda number: {"instruction": f"Ask {number}.", "input": "", "output": f"Answer {number}.", "n": number},
    "prompt-response": lambda number: {"question": f"Ask {number}.", "answer": f"Answer {number}.", "tags": ["a"]},
    "prompt-completion": lambda number: {"prompt": f"Ask {number}.", "completion": f"Answer {number}."},
    "messages": lambda number: {"conversations": chat(number), "id": f"row-{number}"},
}


@pytest.fixture(params=MADE, scope="module")
def pool(request, tmp_path_factory):
    """A pool's file and what the stages before have made of it; row 3 of the file is unreadable."""
    tmp_path = tmp_path_factory.mktemp("pool")
    rows = [MADE[request.param](number) for number in range(COUNT)]
    rows.insert(3, {"text": "x"})
    path = tmp_path / "pool.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    table = with_ids(forms.understand(path).table, PAIR, str(path))
    schemas.write(str(tmp_path / "pool.parquet"), table, schemas.PAIRS)
    ids, draw = table["id"].tolist(), np.random.default_rng(0)
    behaviours = ["T1" if number % 2 else "T2" for number in range(COUNT)]
    labels = pd.DataFrame({"id": ids, "behaviour": behaviours, "reason": "", "judge": "refusal-string"})
    schemas.write(str(tmp_path / "behaviour.parquet"), labels, schemas.BEHAVIOUR)
    kinds = pd.DataFrame({"id": ids, "categories": [[number % 14] for number in range(COUNT)], "status": "parsed"})
    schemas.write(str(tmp_path / "category.parquet"), kinds.assign(labeller="cossim"), schemas.CATEGORIES)
    places = draw.normal(size=(COUNT, 2))
    shown = pd.DataFrame({"id": ids, "x": places[:, 0], "y": places[:, 1], "explained_x": 0.2, "explained_y": 0.1})
    write_parquet(tmp_path / "plane.parquet", shown)
    # Of 28 rows an even share is 2 of each category; category 0 has 1, category 1 has 3.
    picked = [number for number in range(COUNT - 1) if number != 14][::-1]
    quota = [1 if number == 28 else number % 14 for number in picked]
    subset = pd.DataFrame({"rank": range(1, 29), "id": [ids[number] for number in picked], "category": quota})
    write_csv(tmp_path / "subset.csv", subset)
    return request.param, tmp_path, picked


def written(folder, **changes):
    options = {
        "study": "mine",
        "pool": "own",
        "sampler": "sss-b",
        "plugin": "sss",
        "among": "T1",
        "name": "mine-sss-b-28-0",
    }
    options |= {
        "licence": "CC0: 1.0",
        "about": [["seed", "7"]],
        "notes": ["A stand-in."],
        "format": "auto",
        "columns": {},
        "where": {},
    }
    given = {name: str(folder / f"{name}.parquet") for name in ("pool", "plane", "behaviour", "category")}
    given |= {"subset": str(folder / "subset.csv"), "source": str(folder / "pool.jsonl"), "out": str(folder / "out")}
    (folder / "counts.json").write_text(json.dumps({"rows": 31, "used": 30, "left_out": {"unreadable": 1}}))
    given |= {"options": json.dumps(options), "counts": str(folder / "counts.json")} | changes
    stage.main(argparse.Namespace(**given))
    return Path(given["out"])


@pytest.fixture(scope="module")
def out(pool):
    """The pool's export, which no test changes."""
    return written(pool[1])


def test_rows_are_those_of_the_file_in_rank_order(pool, out):
    name, folder, picked = pool
    lines = (out / "subset.jsonl").read_text(encoding="utf-8").split("\n")
    assert [json.loads(line) for line in lines[:-1]] == [MADE[name](number) for number in picked]
    ids = pd.read_csv(out / "ids.csv")
    assert ids["row"].tolist() == [number + (number >= 3) for number in picked], "numbers count the unreadable row"
    assert ids["rank"].tolist() == list(range(1, 29)) and ids["category"].tolist() == [number % 14 for number in picked]
    # What is exported is read again as the same pairs.
    again = forms.understand(out / "subset.jsonl")
    assert again.form == forms.understand(folder / "pool.jsonl").form
    assert with_ids(again.table, PAIR, "")["id"].tolist() == pd.read_csv(folder / "subset.csv")["id"].tolist()
    assert len(pd.read_json(out / "subset.jsonl", lines=True)) == 28


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The hub's library keeps what it loads here."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def test_the_hubs_library_loads_the_folder(out, cache):
    assert len(datasets.load_dataset(str(out), split="train")) == 28


def test_what_the_card_says_trains_with_trl(pool, out, model, cache, tmp_path, monkeypatch):
    """Its code as it stands, in the export's folder, on a tiny model; only that there is no GPU is told to TRL."""
    monkeypatch.chdir(shutil.copytree(out, tmp_path / "out"))
    given = trl.SFTConfig(use_cpu=True, bf16=False, max_steps=2, report_to="none")
    monkeypatch.setattr(trl, "SFTTrainer", functools.partial(trl.SFTTrainer, args=given))
    [code] = re.findall(r"```python\n(.*?)```", (out / "README.md").read_text(), re.DOTALL)
    said = {"model": model}
    exec(code, said)
    trainer = said["trainer"]
    text = trainer.processing_class.decode(trainer.train_dataset[0]["input_ids"])
    asked, answered = f"Ask {pool[2][0]}.", f"{pool[2][0]}."
    # As chat templates know the speakers, whatever the pool's file calls them.
    assert f"[user] {asked}\n[assistant] Answer" in text if pool[0] == "messages" else asked in text
    assert answered in text.split(asked)[1]
    assert np.isfinite(trainer.train().training_loss)


def test_llama_factory_is_told_the_columns(pool, out):
    name, _, _ = pool
    [(entry, told)] = json.loads((out / "dataset_info.json").read_text()).items()
    assert (entry, told["file_name"]) == ("mine-sss-b-28-0", "subset.jsonl")
    if name == "messages":
        assert told["formatting"] == "sharegpt" and told["columns"] == {"messages": "conversations"}
        tags = {"role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt"}
        assert told["tags"] == tags | {"system_tag": "system"}
    else:
        row = MADE[name](0)
        assert [row[told["columns"][part]] for part in ("prompt", "response")] == ["Ask 0.", "Answer 0."]


def test_the_shape_for_trl_is_code_that_works(pool):
    name, folder, _ = pool
    code = export.for_trl(forms.understand(folder / "pool.jsonl").form, MADE[name](0))
    if name == "prompt-completion":
        assert code == ""
    elif name == "messages":
        assert code.endswith('remove_columns="conversations",\n)')
    else:
        shaped = eval(code.removeprefix(".map(").removesuffix(")"))(MADE[name](5) | {"input": "It rains."})
        asked = "Ask 5.\nIt rains." if name == "alpaca" else "Ask 5."
        assert shaped == {"prompt": asked, "completion": "Answer 5."}


def test_chats_that_trl_knows_are_left_as_they_are():
    chat = [{"role": "user", "content": "Ask."}, {"role": "assistant", "content": "Answer."}]
    for column, code in (("messages", ""), ("chat", '.rename_column("chat", "messages")')):
        assert export.for_trl(forms.Form(forms.MESSAGES, {"messages": column}), {column: chat}) == code


def exported(folder, rows) -> export.Exported:
    """The export of all rows of a pool, and the rows as the hub's library loads them, shaped for TRL."""
    path = folder / "pool.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    table = with_ids(forms.understand(path).table, PAIR, str(path))
    return export.own_rows(table, table["id"].tolist(), str(path), "auto", {}, {})


def shaped(found: export.Exported, folder) -> list[dict]:
    records = [record for _, record in found.rows.values()]
    (folder / "subset.jsonl").write_text(export.json_lines(records), encoding="utf-8")
    rows = datasets.load_dataset("json", data_files=str(folder / "subset.jsonl"), split="train")
    return list(eval(f"rows{export.for_trl(found.form, records[0])}", {"rows": rows}))


ASKED = {"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}
SPOKEN = {"role": "user", "content": "q2"}, {"role": "assistant", "content": "a2"}


@pytest.mark.parametrize(
    "other",
    [
        [{"role": "user", "content": "q2"}, {"role": "assistant", "content": "a2"}],
        [{"from": "user", "value": "q2"}, {"from": "assistant", "value": "a2"}],
        [{"from": "user", "value": "q2", "role": None}, {"from": "gpt", "value": "a2", "content": None}],
        json.dumps(SPOKEN),
    ],
)
def test_chats_of_several_kinds_are_exported_as_one(tmp_path, cache, other):
    found = exported(tmp_path, [{"conversations": list(ASKED)}, {"conversations": other}])
    chats = [record["conversations"] for _, record in found.rows.values()]
    assert [[message["content"] for message in chat] for chat in chats] == [["q", "a"], ["q2", "a2"]]
    assert found.rewritten == 2 - (chats[1] == other)
    assert f"{found.rewritten} chats had other keys or speakers; here they have role" in data_card.remarks(found)[0]
    told = export.dataset_info("mine", found.form, {"conversations": chats[0]})["mine"]["tags"]
    assert (told["role_tag"], told["user_tag"], told["assistant_tag"]) == ("role", "user", "assistant")
    assert [row["messages"][0]["content"] for row in shaped(found, tmp_path)] == ["q", "q2"]


def test_system_history_and_tools_go_to_llama_factory_and_trl(tmp_path, cache):
    rows = [{"instruction": "and now?", "input": "", "output": "No.", "system": "Be terse.", "history": [["a", "b"]]}]
    rows += [{"instruction": "x", "input": "y", "output": "z", "system": "", "history": []}]
    found = exported(tmp_path, rows)
    told = export.dataset_info("mine", found.form, rows[0])["mine"]["columns"]
    wanted = {"prompt": "instruction", "query": "input", "response": "output", "system": "system", "history": "history"}
    assert told == wanted
    first, second = shaped(found, tmp_path)
    assert [(said["role"], said["content"]) for said in first["prompt"] + first["completion"]] == [
        *(("system", "Be terse."), ("user", "a"), ("assistant", "b")),
        *(("user", "and now?"), ("assistant", "No.")),
    ]
    assert [said["content"] for said in second["prompt"] + second["completion"]] == ["x\ny", "z"]
    folder = tmp_path / "chats"
    folder.mkdir()
    found = exported(folder, [{"conversations": list(ASKED), "system": "Be brief.", "tools": '[{"name": "f"}]'}])
    told = export.dataset_info("mine", found.form, found.rows.popitem()[1][1])["mine"]["columns"]
    assert told == {"messages": "conversations", "system": "system", "tools": "tools"}
    found = exported(folder, [{"conversations": list(ASKED), "system": "Be brief."}])
    [row] = shaped(found, folder)
    assert [said["content"] for said in row["messages"]] == ["Be brief.", "q", "a"]


def test_an_optional_column_that_no_row_has_is_not_promised(tmp_path):
    rows = [{"instruction": "a", "output": "b", "system": None, "history": None}]
    assert set(exported(tmp_path, rows).form.columns) == {"instruction", "output"}


def test_a_row_that_where_leaves_out_is_not_exported_for_its_twin(tmp_path):
    rows = [{"prompt": "q", "completion": "a", "label": label} for label in (False, True)]
    path = tmp_path / "pool.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    table = with_ids(forms.understand(path, where={"label": True}).table, PAIR, str(path))
    found = export.own_rows(table, table["id"].tolist(), str(path), "auto", {}, {"label": True})
    assert [*found.rows.values()] == [(1, rows[1])]


def test_the_card_counts_and_tells_the_shortfall(out):
    card = (out / "README.md").read_text()
    _, header, body = card.split("---\n", 2)
    assert yaml.safe_load(header)["configs"] == [{"config_name": "default", "data_files": "subset.jsonl"}]
    assert yaml.safe_load(header)["license_name"] == "CC0: 1.0"
    for words in (
        "# 28 examples of the pool own, by sss-b",
        "| T1          | harmful request, refused         | 14       | 15     |",
        "Short of the even share of 2 rows, which others filled: category 0 by 1.",
        "- A stand-in.",
        "31 rows - 1 unreadable = 30 used",
        "sss: Stratified Safety Sampling, the same number from every category (paper section 3.2). Among T1 rows",
    ):
        assert words in body
    assert "Ask 1." not in card and "Answer" not in card


def test_equal_files_and_rows_in_another_order(pool, out, tmp_path):
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    assert set(first) == {"subset.jsonl", "ids.csv", "README.md", "dataset_info.json", "pool.png", "pool.svg"}
    folder = shutil.copytree(pool[1], tmp_path / "turned")
    table = pd.read_parquet(folder / "plane.parquet")
    write_parquet(folder / "plane.parquet", table[::-1])
    again = {path.name: path.read_bytes() for path in written(folder).iterdir()}
    assert first["pool.png"] == again["pool.png"] and first == again


def test_a_pool_without_labels_or_file(pool, tmp_path):
    name, folder, picked = pool
    out = written(folder, source=None, counts=None, behaviour=None, category=None, out=str(tmp_path / "out"))
    rows = [json.loads(line) for line in (out / "subset.jsonl").read_text().splitlines()] if name != "messages" else []
    if name == "alpaca":
        assert rows[0] == {"instruction": f"Ask {picked[0]}.", "input": "", "output": f"Answer {picked[0]}."}
    assert "## Behaviours" not in (out / "README.md").read_text()


def test_a_file_that_has_changed_is_refused(pool, tmp_path):
    folder = shutil.copytree(pool[1], tmp_path / "changed")
    path = folder / "pool.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:20]))
    with pytest.raises(BallastError, match=r"pool.jsonl: row [0-9a-f]{16} is no longer there; run again"):
        written(folder)


def test_an_even_share_has_no_shortfall():
    rows = pd.DataFrame({"quota": [*range(len(CATEGORIES))] * 2})
    assert data_card._shortfall(rows) == "Every category has its even share of 2 rows.\n"
    assert data_card._shortfall(rows.assign(quota=pd.NA)) == ""


def test_the_plane_is_that_of_the_principal_components(tmp_path):
    draw = np.random.default_rng(1)
    matrix = (draw.normal(size=(900, 12)) * np.linspace(3, 0.5, 12)).astype(np.float32)
    ids = [f"{number:04}" for number in range(900)]
    vectors.write(tmp_path / "e.arrow", ids, matrix)
    read = vectors.read(tmp_path / "e.arrow")
    found, explained = plane(read)
    units = read.units(np.arange(900))
    centred = units - units.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    wanted = left[:, :2] * sizes[:2]
    assert np.allclose(np.abs(found), np.abs(wanted), atol=1e-5)
    assert np.allclose(explained, (sizes**2 / (sizes**2).sum())[:2], atol=1e-6)
    vectors.write(tmp_path / "r.arrow", ids[::-1], matrix[::-1])
    assert np.allclose(plane(vectors.read(tmp_path / "r.arrow"))[0][::-1], found, atol=1e-6), "nor is it mirrored"
