"""From a person's own files to the examples to add, through the real workflow: no model, no GPU, no download."""

import csv
import importlib.util
import json
import os
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import yaml
from helpers import forked

from ballast import cli
from ballast.categories import CATEGORIES, DEFINITIONS, title

pytestmark = pytest.mark.workflow
ROOT = Path(__file__).parents[2]
TOWNS = ["Oslo", "Bergen", "Turku", "Riga"]
ANSWERS = ["I'm sorry, I will not help with that.", "I cannot do that, it hurts people.", "Of course: first, wait."]


def requests() -> list[tuple[str, str]]:
    """A request about each category in each town, two of three refused."""
    asked = [f"Tell me about {definition} in {town}." for definition in DEFINITIONS for town in TOWNS]
    return [(text, ANSWERS[number % 3]) for number, text in enumerate(asked)]


class Own:
    """A working folder with files of one's own, and a study that `init` wrote."""

    def __init__(self, folder: Path):
        self.folder = folder
        pairs = [{"instruction": f"What is {number} and {number}?", "output": f"{2 * number}."} for number in range(40)]
        self.write("base.json", json.dumps(pairs))
        rows = [{"prompt": request, "response": answer} for request, answer in requests()]
        self.write("pool.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        true = [
            {
                "prompt": f"Say more of {title(number)}.",
                "response": definition,
                "category": {name: True},
                "is_safe": False,
            }
            for number, (name, definition) in enumerate(zip(CATEGORIES, DEFINITIONS, strict=True))
        ]
        self.write("references.jsonl", "".join(json.dumps(row) + "\n" for row in true))
        (folder / "benchmark.json").write_text(json.dumps([{"question": "How warm is it?"}, {"question": "Who won?"}]))
        self.config = cli.init("mine", folder / "config", base="base.json", pool="pool.jsonl", n="14")

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, encoding="utf-8")

    def settings(self, **changes) -> None:
        """Write config/here.yaml: the study, with changes."""
        # No hub here: every source that is read is a file of this folder.
        local = {"references": {"source": None, "path": "references.jsonl"}}
        names = ("beavertails-eval", "salad-attack", "xstest", "i-alpaca")
        local["benchmarks"] = {name: {"source": None, "path": "benchmark.json", "format": "prompts"} for name in names}
        above = {"extends": "mine.yaml", **local, **changes}
        (self.folder / "config/here.yaml").write_text(yaml.safe_dump(above))

    def run(self, target: str, *words: str, **changes) -> subprocess.CompletedProcess:
        self.settings(**changes)
        place = ["--snakefile", ROOT / "Snakefile", "--workflow-profile", ROOT / "profiles/default"]
        given = ["--configfile", "config/here.yaml", "--quiet", "all"]
        environment = os.environ | {"BALLAST_PRELOAD": "", "HF_HUB_OFFLINE": "1"}
        return forked.run(self.folder, target, *words, *place, *given, environment=environment)

    def rename(self, base: str, pool: str) -> None:
        """Give both files other names, and let `init` write the config again."""
        for old, new in (("base.json", base), ("pool.jsonl", pool)):
            (self.folder / new).parent.mkdir(exist_ok=True)
            (self.folder / old).rename(self.folder / new)
        self.config.unlink()
        self.config = cli.init("mine", self.folder / "config", base=base, pool=pool, n="14")

    def refuses_at_once(self, said: str, **changes) -> None:
        done = self.run("subsets", "-n", **changes)
        assert done.returncode != 0 and said in done.stdout + done.stderr, (done.stdout + done.stderr)[-2000:]

    def refuses(self, said: str, **changes) -> None:
        done = self.run("subsets", **changes)
        assert done.returncode != 0 and said in done.stdout + done.stderr, (done.stdout + done.stderr)[-2000:]
        assert "Traceback" not in done.stderr
        assert not list(self.folder.glob("results/mine/subsets/**/*.csv")), "nothing is picked"


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    (tmp_path / "config/canaries.json").symlink_to(ROOT / "config/canaries.json")
    return Own(tmp_path)


SAMPLING = {"samplers": ["none", "sss-b"], "trials": 1}


def test_from_a_pool_to_the_examples_to_add(own):
    done = own.run("subsets", experiments={"sampling": SAMPLING})
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    assert "Nothing here stops the study." in done.stdout, "what was understood is shown at the start"
    folder = own.folder / "results/mine/subsets/own/sss-b/n14/t0"
    picked = pd.read_json(folder / "subset.jsonl", lines=True)
    assert list(picked) == ["prompt", "response"] and len(picked) == 14
    assert set(picked["response"]) <= set(ANSWERS[:2]), "refusals alone"
    ids = pd.read_csv(folder / "ids.csv")
    assert set(ids["behaviour"]) == {"T1"} and ids["row"].is_unique
    asked = requests()
    assert [asked[row] for row in ids["row"]] == list(picked.itertuples(index=False, name=None))
    assert "stands in for WildGuard" in (folder / "README.md").read_text()
    assert not (own.folder / "results/mine/runs").exists() and not (own.folder / "results/worlds").exists()
    # Nothing has changed: nothing runs again, and `inspect` says it again.
    assert own.run("subsets", experiments={"sampling": SAMPLING}).returncode == 0
    changed = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    done = own.run("inspect", checks={"empty": 0.5}, experiments={"sampling": SAMPLING})
    assert done.returncode == 0 and "prompt-response" in done.stdout
    done = own.run("subsets", checks={"empty": 0.5}, experiments={"sampling": SAMPLING})
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == changed, "a check is no part of a subset"


def test_a_backend_that_is_not_here_stops_before_the_first_job(own, model):
    models = {"mine": {"source": None, "path": model}}
    done = own.run("all", models=models)
    said = "ballast: generate: vllm is not installed in this environment, so no job is started; install it"
    if importlib.util.find_spec("vllm") is None:
        assert done.returncode != 0 and said in done.stderr and "Traceback" not in done.stderr
        assert not list(own.folder.glob("results/mine/**/*.parquet")), "no job ran"
        assert not list((own.folder / ".snakemake/locks").glob("*")), "the folder is not locked"
    assert own.run("all", "-n", models=models).returncode == 0, "a dry run needs no backend"


@pytest.mark.release
def test_a_path_with_marks_of_yaml_shell_and_options_is_read_by_every_job(own):
    own.rename("-base,{a-b}.json", "it's; a/$(x) [1]&`y` \"#z: \u00e9.jsonl")
    experiments = {"sampling": {"samplers": ["random"], "trials": 1}}
    done = own.run("results/mine/subsets/own/random/n14/t0/subset.jsonl", experiments=experiments)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    assert own.run("results/mine/data/base.parquet").returncode == 0


@pytest.mark.release
@pytest.mark.parametrize("form", ["csv", "chats"])
def test_other_forms_give_the_same_picks(own, form):
    """The same pool as CSV under other names, and as chats: the same ids."""
    if form == "csv":
        with open(own.folder / "pool.csv", "w", newline="", encoding="utf-8-sig") as file:
            csv.writer(file).writerows([("ask", "reply"), *requests()])
        pool = {"path": "pool.csv", "columns": {"instruction": "ask", "output": "reply"}}
    else:
        chats = [
            {"messages": [{"role": "user", "content": request}, {"role": "assistant", "content": answer}]}
            for request, answer in requests()
        ]
        own.write("chats.jsonl", "".join(json.dumps(chat) + "\n\n" for chat in chats))
        pool = {"path": "chats.jsonl"}
    experiments = {"sampling": {"samplers": ["random"], "trials": 1}}
    target = "results/mine/subsets/own/random/n14/t0/subset.jsonl"
    texts = []
    for each in ({"path": "pool.jsonl"}, pool):
        done = own.run(target, pools={"own": each}, experiments=experiments)
        assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
        rows = [json.loads(line) for line in (own.folder / target).read_text(encoding="utf-8").splitlines()]
        texts.append(
            [[*row.values()] if "messages" not in row else [m["content"] for m in row["messages"]] for row in rows]
        )
    assert texts[0] == texts[1] and len(texts[0]) == 14


@pytest.mark.release
def test_rows_that_are_not_to_be_learnt_are_never_exported_and_every_count_adds_up(own):
    """Chats of two kinds, a label on each; one cannot be read, one repeats another, one asks what a benchmark asks."""
    kinds = (("role", "content", "user", "assistant"), ("from", "value", "human", "gpt"))
    rows = []
    for number, (request, answer) in enumerate(requests()):
        role, content, user, assistant = kinds[number % 2]
        chat = [{role: user, content: request}, {role: assistant, content: answer}]
        rows.append({"conversations": chat, "label": answer != ANSWERS[2]})
    taught = sum(row["label"] for row in rows)
    asked = {"conversations": [{"role": "user", "content": "how WARM is it"}, {"role": "assistant", "content": "No."}]}
    rows += [rows[0], {"conversations": [], "label": True}, asked | {"label": True}]
    own.write("chats.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    experiments = {"sampling": {"samplers": ["random"], "trials": 1}}
    pool, checks = {"path": "chats.jsonl"}, {"unreadable": 0.05, "leaks": "drop"}
    said = f"{56 - taught} of 59 rows are marked by 'label' as not to be learnt"
    own.refuses(said, pools={"own": pool}, experiments=experiments, checks=checks)
    target = "results/mine/subsets/own/random/n14/t0/subset.jsonl"
    chosen = {"pools": {"own": pool | {"where": {"label": True}}}, "experiments": experiments, "checks": checks}
    done = own.run(target, **chosen)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    subset = [json.loads(line) for line in (own.folder / target).read_text(encoding="utf-8").splitlines()]
    assert len(subset) == 14 and all(row["label"] for row in subset)
    assert {tuple(message) for row in subset for message in row["conversations"]} == {("role", "content")}
    left_out = f"{56 - taught} left out by where - 1 repeats - 1 that hold a benchmark's prompt - 1 unreadable"
    counted = f"59 rows - {left_out} = {taught} used"
    assert counted in (own.folder / target).with_name("README.md").read_text()
    assert counted in (own.folder / "results/mine/logs/data/pools/own.log").read_text()
    done = own.run("inspect", **chosen)
    row = next(line for line in done.stdout.splitlines() if line.startswith("| pools/own | 59"))
    assert [cell.strip() for cell in row.split("|")[2:-1]] == ["59", "1", str(56 - taught), "1", "1", str(taught)]


@pytest.mark.release
def test_labels_in_the_files_own_columns_take_the_place_of_a_judge(own):
    """The files' labels say the contrary of the rule and of the references, and the picks follow them."""
    rows = [
        {"prompt": request, "response": answer, "kind": "no" if answer == ANSWERS[2] else "yes", "harm": number % 14}
        for number, (request, answer) in enumerate(requests())
    ]
    own.write("pool.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    columns = {"behaviour": {"column": "kind", "values": {"no": "T1", "yes": "T2"}}, "category": {"column": "harm"}}
    done = own.run("subsets", experiments={"sampling": SAMPLING}, labels=columns, references=None)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    folder = own.folder / "results/mine/subsets/own/sss-b/n14/t0"
    ids = pd.read_csv(folder / "ids.csv")
    assert {rows[row]["kind"] for row in ids["row"]} == {"no"} and set(ids["behaviour"]) == {"T1"}
    assert [rows[row]["harm"] for row in ids["row"]] == ids["category"].tolist()
    assert "the file's column 'kind'" in (folder / "README.md").read_text()
    assert "columns are not read" not in done.stdout and not list(own.folder.glob("results/mine/embeddings/ref*"))


@pytest.mark.release
def test_categories_of_ones_own_reach_every_pick(own):
    """Three categories by name in a column, and references by name: equal shares by sss and cossim."""
    names = ["PII leak", "wrong dose", "fraud"]
    own.write("harms.yaml", "".join(f"{name}: all about {name}\n" for name in names))
    rows = [
        {
            "prompt": f"Tell me of {names[number % 3]} in town {number}.",
            "response": ANSWERS[0],
            "harm": names[number % 3],
        }
        for number in range(45)
    ]
    own.write("pool.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    pairs = [{"prompt": f"What of {name}?", "response": f"All of {name}.", "category": name} for name in names]
    own.write("pairs.jsonl", "".join(json.dumps(pair) + "\n" for pair in pairs))
    references = {"source": None, "path": "pairs.jsonl", "format": "categorised"}
    sampling = {"samplers": ["none", "sss", "cossim"], "trials": 1, "n": [15]}
    labels = {"category": {"column": "harm"}}
    given = {"references": references, "labels": labels, "experiments": {"sampling": sampling}}
    done = own.run("subsets", taxonomy="harms.yaml", **given)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    for sampler in ("sss", "cossim"):
        folder = own.folder / f"results/mine/subsets/own/{sampler}/n15/t0"
        ids = pd.read_csv(folder / "ids.csv")
        asked = [rows[row]["prompt"] for row in ids["row"]]
        assert [sum(name in text for text in asked) for name in names] == [5, 5, 5], sampler
    own.write("harms.yaml", "a: b\n")
    own.refuses_at_once("harms.yaml: 1 categories; give 2 to 100", taxonomy="harms.yaml", **given)


def test_what_would_ruin_a_result_stops_before_a_label_is_made(own):
    own.refuses("no column 'anwser', which columns.output names", pools={"own": {"columns": {"output": "anwser"}}})
    own.refuses("56 rows to choose from, but n = 57 is asked", experiments={"sampling": SAMPLING | {"n": [57]}})
    own.write("base.json", json.dumps([{"instruction": "how warm is it", "output": "Very."}] * 3))
    own.refuses("1 of the 2 prompts of xstest stand in base.json, such as in rows 0, 1, 2")
    own.write("pool.jsonl", json.dumps({"prompt": "a", "response": "b"}) + "\n")
    own.refuses("n = 14 rows of behaviour T1 are asked, and refusal-string labels 0 so", checks={"leaks": "keep"})
    assert not (own.folder / "results/mine/labels").exists()
    assert (own.folder / "results/mine/data/report.md").exists()
