"""`ballast init`: a config that is valid, never over a file that is there, with hub ids pinned."""

import subprocess
import sys
from pathlib import Path

import pytest
from helpers.hub import COMMIT, Hub, ask_here, serve
from huggingface_hub import close_session

from ballast import cli
from ballast.files import BallastError
from ballast.study import config, sources

ROOT = Path(__file__).parents[2]


def test_the_template_is_short_and_says_how_it_is_used():
    lines = (ROOT / "config/own.yaml").read_text().splitlines()
    assert len(lines) < 40 and max(map(len, lines)) <= 125
    for target in ("snakemake inspect", "snakemake subsets"):
        assert any(target in line for line in lines)


@pytest.mark.parametrize("folder", ["config", "deep/er/config"])
def test_a_study_is_written_and_valid(tmp_path, folder):
    pool = tmp_path / "pool: of, mine.jsonl"
    pool.write_text("{}")
    path = cli.init("my-study", tmp_path / folder, pool=str(pool), model=str(tmp_path), n="20,40")
    study = config.load(config.read(path))
    assert study.study == "my-study" and study.experiments.sampling.n == [20, 40]
    assert study.pools["own"].path == str(pool) and study.models["mine"].path == str(tmp_path)
    assert study.base.path == "data/base.jsonl" and study.checks.leaks == "stop" and set(study.pools) == {"own"}


ODD = [
    "a,b.jsonl",
    "a{b}.jsonl",
    "[a]: b #c.jsonl",
    'it\'s "a";&.jsonl',
    "-a.jsonl",
    "\u00e9\u6587 \u200d.jsonl",
    "2024-01-01",
]


@pytest.mark.parametrize(
    "name", [*ODD, "own: {path: data/pool.jsonl, licence: unknown}", "my-study/study: own", "yes", "~"]
)
def test_a_path_comes_through_as_it_is(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text("{}")
    path = cli.init("mine", "configs of, #mine", base=name, pool=name, model=name)
    study = config.load(config.read(path))
    assert [study.base.path, study.pools["own"].path, study.models["mine"].path] == [name] * 3
    assert study.pools["own"].licence == "unknown" and study.models["mine"].prompt == "chat"
    assert path.read_text().count("# ") == (ROOT / "config/own.yaml").read_text().count("# ") + name.count("# ") * 3


def test_a_path_that_no_job_could_read_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("a\nb.jsonl", "pool{v2}.jsonl"):
        Path(name).write_text("{}")
    with pytest.raises(BallastError, match=r"'a\\nb.jsonl': a name with a line break"):
        cli.init("mine", pool="a\nb.jsonl")
    assert cli.main(["init", "mine", "--pool", "pool{v2}.jsonl"]) == 0
    said = "pool{v2}.jsonl: Snakemake reads braces around a word as a wildcard; rename it, or give a link to it"
    assert capsys.readouterr().err == f"ballast: {said}\n"
    raw = config.read("config/mine.yaml")
    other = raw | {"pools": {"own": {"path": "pool.jsonl"}}}
    for place, changed in (
        ("pools.own.path", raw),
        ("labels.annotations", other | {"labels": raw["labels"] | {"annotations": "pool{v2}.jsonl"}}),
        ("models.mine.template", other | {"models": {"mine": {"path": "m", "template": "{a}"}}}),
    ):
        with pytest.raises(BallastError, match=f"config: {place}: .*reads braces around a word"):
            sources.check(config.load(changed))


def test_it_never_writes_over_a_file(tmp_path):
    path = cli.init("mine", tmp_path)
    path.write_text("study: precious")
    with pytest.raises(BallastError, match="mine.yaml is there already; choose another name"):
        cli.init("mine", tmp_path)
    assert path.read_text() == "study: precious"


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("My Study", {}, "'My Study' is no study's name"),
        ("../x", {}, "'../x' is no study's name"),
        ("worlds", {}, "results/worlds/"),
        ("mine", {"pool": "data/absent.jsonl"}, "data/absent.jsonl: no such file, and no id of the hub"),
        ("mine", {"model": "/absent/model"}, "/absent/model: no such file, and no id of the hub"),
        ("mine", {"n": "50,many"}, "--n 50,many: give whole numbers"),
        ("mine", {"n": "0"}, "--n 0: give whole numbers"),
    ],
)
def test_mistakes(tmp_path, name, given, said):
    with pytest.raises(BallastError) as refusal:
        cli.init(name, tmp_path, **given)
    assert said in str(refusal.value) and not list(tmp_path.iterdir())


def test_the_command_says_what_comes_next(tmp_path):
    def command() -> subprocess.CompletedProcess:
        environment = {"PYTHONPATH": str(ROOT / "scripts")}
        named = [sys.executable, "-m", "ballast", "init", "mine"]
        return subprocess.run(named, cwd=tmp_path, env=environment, capture_output=True, text=True)

    done = command()
    assert done.returncode == 0 and "snakemake subsets --configfile config/mine.yaml" in done.stdout
    done = command()
    assert done.returncode == 1 and done.stderr.startswith("ballast: config/mine.yaml is there already")


def test_ids_of_the_hub_are_pinned(tmp_path, monkeypatch, capsys):
    files = {"data/train.jsonl": b"{}", "data/test.jsonl": b"{}", "README.md": b""}
    weights = {"config.json": b"{}", "model.safetensors": b"", "tokenizer.model": b""}
    weights |= {
        "chat_template.jinja": b"",
        "vocab.txt": b"",
        "merges.txt": b"",
        "README.md": b"",
        "onnx/model.onnx": b"",
    }
    hub = Hub({"us/rows": files, "us/two": {"a.csv": b"", "b.csv": b""}, "us/model": weights})
    server = serve(hub)
    monkeypatch.chdir(tmp_path)
    ask_here(monkeypatch, hub, tmp_path / "home")
    arguments = ["--base", "us/rows:data/test.jsonl", "--pool", "us/rows", "--model", "us/model"]
    assert cli.main(["init", "mine", *arguments]) == 0
    study = config.load(config.read(tmp_path / "config/mine.yaml"))
    assert (study.base.source, study.pools["own"].source, study.models["mine"].source) == (
        "my-base",
        "my-pool",
        "my-model",
    )
    pool, base, model = (study.sources[f"my-{key}"] for key in ("pool", "base", "model"))
    assert (pool.hub, pool.revision, list(pool.files)) == ("us/rows", COMMIT, ["data/train.jsonl"])
    assert list(base.files) == ["data/test.jsonl"] and list(model.files) == [
        "*.safetensors",
        "*.json",
        *("chat_template.jinja", "merges.txt", "tokenizer.model", "vocab.txt"),
    ]
    for given, said in (
        ("us/none", "the hub shows no dataset us/none"),
        ("us/two", "us/two has several data files; give us/two:FILE of a.csv, b.csv"),
        ("us/rows:x.csv", "us/rows has no data file x.csv"),
    ):
        assert cli.main(["init", "other", "--pool", given]) == 1
        assert f"ballast: {said}" in capsys.readouterr().err
    server.shutdown()
    server.server_close()
    close_session()  # a connection that is open would be answered still
    assert cli.main(["init", "other", "--pool", "us/rows"]) == 1
    said = "ballast: us/rows: the hub could not be asked (ConnectError); go online, or give a copy here\n"
    assert capsys.readouterr().err == said, "nobody answers"
