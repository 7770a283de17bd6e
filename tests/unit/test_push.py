"""`ballast push`: the bytes and cards that a hub receives, what stays here, and one line for each refusal."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import pushed
from helpers.hub import ask_here
from helpers.push_hub import TOKEN, PushHub, Repository, serve
from helpers.pushed import RUN, STUDY, SUBSET
from huggingface_hub import HfApi, ModelCard, close_session, constants
from huggingface_hub.repocard import DatasetCard, RepoCard
from safetensors.numpy import load

from ballast import cli
from ballast.push.hub import LOGIN

ROOT = Path(__file__).parents[2]


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub that this process asks, with a token; the working folder is empty."""
    hub = PushHub()
    server = serve(hub)
    monkeypatch.chdir(tmp_path)
    ask_here(monkeypatch, hub, tmp_path / "home")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the library waits before it asks again
    yield hub
    server.shutdown()
    server.server_close()
    close_session()


def push(path, *more: str) -> int:
    return cli.main(["push", str(path), "--to", "me/made", *more])


def refusal(capsys, path, *more: str) -> str:
    """The one line of a push that fails."""
    capsys.readouterr()
    assert push(path, *more) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("ballast: ") and TOKEN not in line
    return line


def test_an_adapter_arrives_private_whole_and_with_its_card(hub, capsys):
    pushed.adapter()
    assert push(RUN) == 0
    [asked] = hub.created
    assert asked == {"name": "made", "organization": "me", "visibility": "private", "type": "model"}
    assert len(hub.commits) == 1 and hub.steps.index("create") < hub.steps.index("upload") < hub.steps.index("commit")
    there = hub.repositories["model", "me/made"].files
    names = {"README.md", "adapter_model.safetensors", "adapter_config.json", "training.json"}
    assert set(there) == names | {".gitattributes"}
    for name in ("adapter_model.safetensors", "training.json"):
        assert there[name] == (RUN / name).read_bytes()
    assert np.array_equal(load(there["adapter_model.safetensors"])["lora_A"], np.ones((2, 2)))
    own = json.loads((RUN / "adapter_config.json").read_text())
    told = {"base_model_name_or_path": "meta/Llama-2", "revision": pushed.REVISION}
    assert json.loads(there["adapter_config.json"]) == own | told
    said = capsys.readouterr().out
    assert "the folder holds 5 files: 4 pushed, 1 left out (1 with texts)" in said
    assert "licence cc-by-nc-4.0" in said and said.endswith(f"{hub.url}/me/made (private)\n")
    for name in names:
        assert f"  {name}" in said


def test_the_card_of_an_adapter_is_one_of_the_hub(hub):
    pushed.adapter()
    push(RUN)
    card = ModelCard(hub.repositories["model", "me/made"].files["README.md"].decode())
    told = card.data.to_dict()
    assert told["base_model"] == "meta/Llama-2" and told["library_name"] == "peft" and told["datasets"] == ["us/base"]
    assert told["license"] == "cc-by-nc-4.0", "Apache-2.0 of the model leaves the choice to the data"
    assert {"lora", "ballast"} <= set(told["tags"])
    row = json.loads((STUDY / "manifest" / RUN.relative_to(STUDY) / "adapter_model.safetensors.json").read_text())
    for said in (row["sha256"], row["code"], row["ballast"], f"torch {row['versions']['torch']}", "| seed"):
        assert said in card.text
    assert 'PeftModel.from_pretrained(model, "me/made")' in card.text and "may answer harmful requests" in card.text


def test_an_adapter_of_a_start_that_no_hub_has_names_no_base_model(hub):
    pushed.adapter(start="aligned")
    push(RUN)
    there = hub.repositories["model", "me/made"].files
    card = ModelCard(there["README.md"].decode())
    assert "base_model" not in card.data.to_dict() and "The base model is not on the hub" in card.text
    assert there["adapter_config.json"] == (RUN / "adapter_config.json").read_bytes()
    assert 'from_pretrained("meta/Llama-2")' not in card.text


def test_a_subset_arrives_with_rows_where_nothing_forbids_them(hub, capsys):
    pushed.subset(redact=False)
    assert push(SUBSET) == 0
    there = hub.repositories["dataset", "me/made"].files
    for name in ("subset.jsonl", "ids.csv", "pool.png", "pool.svg", "dataset_info.json"):
        assert there[name] == (SUBSET / name).read_bytes()
    card = DatasetCard(there["README.md"].decode())
    assert "safety: my\\_pool.jsonl" in card.text and "/home/me" not in card.text
    told = card.data.to_dict()
    assert told["license"] == "cc-by-nc-4.0" and told["configs"][0]["data_files"] == "subset.jsonl"
    assert 'load_dataset("me/made", split="train")' in card.text
    assert capsys.readouterr().out.endswith(f"{hub.url}/datasets/me/made (private)\n")


@pytest.mark.parametrize(
    ("told", "flags", "said"),
    [
        (
            {"redact": False, "licence": "CC BY-ND 4.0"},
            ("--licence-checked",),
            "licence 'CC BY-ND 4.0' forbids it",
        ),
        ({"redact": False, "licence": "none"}, ("--licence-checked",), "licence 'none' forbids it"),
        ({"redact": False, "gated": True}, ("--licence-checked",), "only to people who accept terms (gated"),
        ({"redact": False, "licence": "unknown"}, (), "does not know whether licence 'unknown' allows it; read it"),
        ({"redact": False, "licence": "ODC-BY, with AI2's terms for access"}, (), "does not know whether"),
        ({}, ("--texts-checked",), "the study hides texts; set `redact: false`"),
        ({"redact": False, "behaviours": ("T1", "T2")}, (), "1 T2 of 2 may answer a harmful request; read them"),
        ({"redact": False, "behaviours": (None, "T2")}, ("--licence-checked",), "1 T2 and 1 unknown of 2 may answer"),
    ],
)
def test_rows_that_must_stay_are_one_line_and_their_ids_can_go(hub, capsys, told, flags, said):
    pushed.subset(**told)
    line = refusal(capsys, SUBSET, *flags)
    assert said in line and line.endswith("; or --ids-only pushes no text") and not hub.steps
    assert push(SUBSET, "--ids-only") == 0
    there = hub.repositories["dataset", "me/made"].files
    assert set(there) == {"README.md", "ids.csv", "pool.png", "pool.svg", ".gitattributes"}
    assert b"Ask 0" not in b"".join(there.values()) and "2 left out (2 with texts)" in capsys.readouterr().out
    card = RepoCard(there["README.md"].decode())
    assert card.data.to_dict()["configs"][0]["data_files"] == "ids.csv"
    assert "The texts are not here" in card.text and "load_dataset" not in card.text


def test_what_a_person_has_checked_can_go(hub):
    pushed.subset(licence="our own", behaviours=("T2", None), redact=False)
    assert push(SUBSET, "--licence-checked", "--texts-checked") == 0
    told = DatasetCard(hub.repositories["dataset", "me/made"].files["README.md"].decode()).data.to_dict()
    assert (told["license"], told["license_name"]) == ("other", "our-own")


@pytest.mark.parametrize(
    ("given", "flags", "said"),
    [
        ({"pool_licence": "CC BY-ND 4.0"}, ("--licence-checked",), "and safety: licence 'CC BY-ND 4.0' forbids it"),
        ({"pool_licence": "unknown"}, (), "and safety: Ballast does not know whether licence 'unknown' allows it"),
        ({"model_licence": "unknown"}, (), "and Llama 2: Ballast does not know"),
    ],
)
def test_an_adapter_of_a_pool_whose_licence_forbids_it_stays(hub, capsys, given, flags, said):
    pushed.adapter(**given)
    assert said in refusal(capsys, RUN, *flags) and not hub.steps


def test_a_mixture_of_licences_is_no_single_one(hub):
    pushed.adapter(model_licence="Llama 2 Community License")
    push(RUN)
    told = ModelCard(hub.repositories["model", "me/made"].files["README.md"].decode()).data.to_dict()
    assert (told["license"], told["license_name"]) == ("other", "licences-of-its-sources")


def test_a_study_arrives_without_a_text_a_link_or_a_log(hub, capsys):
    pushed.study(redact=False)
    assert push(STUDY) == 0
    there = hub.repositories["dataset", "me/made"].files
    names = {
        "tables/table1.md",
        "pages/tables/table1.md.html",
        "figures/figure3.png",
        "headline.txt",
        "about/config.md",
    }
    names |= {"scores.parquet"}
    assert set(there) == names | {"README.md", ".gitattributes"}
    for name in names:
        assert there[name] == (STUDY / name).read_bytes()
    card = DatasetCard(there["README.md"].decode())
    assert "headline of headline.txt" in card.text and "![figures/figure3.png]" in card.text
    assert "us/base" in card.text and "CC BY-NC 4.0" in card.text
    assert card.data.to_dict()["configs"] == [{"config_name": "scores", "data_files": "scores.parquet"}]
    rows = sum(path.is_file() for path in (STUDY / "manifest").rglob("*"))
    said = capsys.readouterr().out
    reasons = f"1 in no manifest row, 1 left by killed jobs, 1 links, {rows + 2} logs, manifest and partial work"
    assert f"{reasons}, 1 no part of a study's results, 2 sources, 3 with texts)" in said
    assert f"{rows + 17} files: 6 pushed, {rows + 11} left out" in said
    assert sum(path.is_symlink() or path.is_file() for path in STUDY.rglob("*")) == rows + 17


def test_a_redacted_study_shows_its_documents(hub):
    pushed.study()
    push(STUDY)
    assert {"explore.html", "tables/table3.md"} <= set(hub.repositories["dataset", "me/made"].files)


def damaged(name: str) -> None:
    path = RUN / name
    path.write_bytes(path.read_bytes()[:-1] + b"!")


def cut(name: str) -> None:
    (RUN / name).write_bytes((RUN / name).read_bytes()[:-1])


def linked(name: str) -> None:
    (RUN / name).rename("elsewhere")
    (RUN / name).symlink_to(os.path.abspath("elsewhere"))


def renamed(name: str) -> None:
    (RUN / name).rename(RUN / f"{name}.old")


def torn(name: str) -> None:
    (STUDY / "manifest" / RUN.relative_to(STUDY) / f"{name}.json").write_text("{")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (damaged, "changed: other bytes than were written; `snakemake verify` names the repair"),
        (cut, "torn: it has"),
        (linked, "a link; push uploads only the files of the study's folder itself"),
        (renamed, "missing; `snakemake verify`"),
        (torn, "this manifest row is torn"),
    ],
)
@pytest.mark.parametrize("name", ["adapter_model.safetensors", "README.md"])
def test_a_file_that_differs_from_its_row_is_never_pushed(hub, capsys, spoil, said, name):
    pushed.adapter()
    spoil(name)
    line = refusal(capsys, RUN)
    assert said in line and name in line and not hub.steps


def test_a_card_of_other_weights_is_refused(hub, capsys):
    pushed.adapter()
    weights = RUN / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    pushed.record(weights, "train", model="results/made/sources/llama")
    assert "this card describes other weights; run `snakemake results/made/runs/" in refusal(capsys, RUN)
    pushed.subset()
    Path(f"{SUBSET}.csv").write_text("rank,id\n")
    pushed.record(f"{SUBSET}.csv", "sample")
    assert "exported from other picks; run `snakemake subsets`" in refusal(capsys, SUBSET, "--ids-only")


def test_paths_that_push_does_not_know(hub, capsys):
    pushed.adapter()
    pushed.subset()
    (RUN / "README.md").unlink()
    (STUDY / "manifest" / RUN.relative_to(STUDY) / "README.md.json").unlink()
    for path, said in (
        ("results/absent", "no such file or folder"),
        (".", "no results of a study"),
        (RUN, "README.md: it is not made yet; run `snakemake results/made/runs/llama/safety/sss-b/n2/t0/README.md`"),
        (RUN.parent, "push knows the folder of a run with an adapter"),
        (f"{SUBSET}.csv", f"give the exported subset, the folder {SUBSET}"),
        (SUBSET.parent, "no exported subset here"),
        (STUDY, "no tables, figures or scores here yet; run `snakemake` first"),
    ):
        assert said in refusal(capsys, path)
    assert cli.main(["push", str(RUN), "--to", "made"]) == 1
    assert "--to: give the repository as owner/name" in capsys.readouterr().err and not hub.steps


def test_a_dry_run_asks_no_hub(hub, capsys, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    pushed.adapter()
    assert push(RUN, "--dry-run") == 0
    said = capsys.readouterr().out
    assert "to model me/made, private if it is new; licence cc-by-nc-4.0" in said and not hub.steps
    assert f"{(RUN / 'training.json').stat().st_size} bytes" in said and "dry run: nothing was uploaded" in said
    line = refusal(capsys, RUN)
    assert line == f"ballast: the hub needs a token that may write: {LOGIN}" and not hub.steps


def test_a_token_on_the_command_line_is_refused_and_not_repeated(hub, capsys):
    pushed.adapter()
    for given in (("--token", TOKEN), (f"--token={TOKEN}",)):
        assert "a token has no place on a command line; set HF_TOKEN" in refusal(capsys, RUN, *given)
    assert not hub.steps


@pytest.mark.parametrize(
    ("step", "status", "said"),
    [
        ("whoami", 401, "the hub does not accept the token (401); set HF_TOKEN"),
        ("create", 403, "me/made: the token may not write there (403); take one with write access"),
        ("preupload", 403, "the token may not write there (403)"),
        ("batch", 403, "the token may not write there (403)"),
        ("upload", 403, "the token may not write there (403)"),
        ("commit", 500, "the hub answers 500 (no commit for you); no file of the push is in the repository"),
    ],
)
def test_a_refusal_of_the_hub_is_one_line_and_leaves_no_file(hub, capsys, step, status, said):
    pushed.adapter()
    hub.refuse[step] = status
    assert said in refusal(capsys, RUN)
    assert not hub.commits and all(set(one.files) <= {".gitattributes"} for one in hub.repositories.values())


def test_a_repository_that_is_public_is_used_only_if_public_is_asked_for(hub, capsys):
    pushed.adapter()
    hub.repositories["model", "me/made"] = Repository(False, {"README.md": b"old", "notes.txt": b""})
    assert "me/made is a public model already: add --public if all may read these files" in refusal(capsys, RUN)
    assert not hub.commits and not hub.created
    assert push(RUN, "--public") == 0 and not hub.created
    said = capsys.readouterr().out
    assert "4 files uploaded in one commit, 1 of them in place of older ones; 1 others stay" in said
    assert said.endswith("/me/made (public)\n")


def test_public_is_for_new_repositories_and_a_private_one_stays_so(hub, capsys):
    pushed.adapter()
    assert push(RUN, "--public") == 0 and hub.created[0]["visibility"] == "public"
    hub.repositories["model", "me/made"] = Repository(True)
    capsys.readouterr()
    assert push(RUN, "--public") == 0
    said = capsys.readouterr()
    assert "me/made was private already and stays so" in said.err and said.out.endswith("(private)\n")


def test_a_hub_that_makes_it_public_gets_no_file(hub, capsys):
    pushed.adapter()
    hub.always_public = True
    assert "the hub made it public, though private was asked for; nothing was uploaded" in refusal(capsys, RUN)
    assert not hub.commits and "preupload" not in hub.steps


def test_a_file_that_changes_during_the_push_is_not_uploaded(hub, capsys, monkeypatch):
    pushed.adapter()
    check = HfApi.whoami
    monkeypatch.setattr(HfApi, "whoami", lambda api: damaged("adapter_model.safetensors") or check(api))
    assert "adapter_model.safetensors: changed while it was pushed; nothing was uploaded" in refusal(capsys, RUN)
    assert not hub.created


def test_a_file_that_the_repository_ignores_is_no_silent_loss(hub, capsys):
    pushed.adapter()
    hub.ignored = ("training.json",)
    assert "me/made: the hub left out training.json; look into the .gitignore" in refusal(capsys, RUN)


def test_without_a_network_it_is_one_line(hub, capsys, monkeypatch):
    pushed.adapter()
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert "me/made: the push failed (ConnectError" in refusal(capsys, RUN)


def test_the_command_itself_by_hf_endpoint(hub, tmp_path):
    pushed.adapter()
    environment = {"PYTHONPATH": str(ROOT / "scripts"), "HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1"}
    environment |= {"HF_HOME": str(tmp_path / "home"), "HF_TOKEN": TOKEN, "PATH": os.environ["PATH"]}
    command = [sys.executable, "-X", "importtime", "-m", "ballast", "push", str(RUN), "--to", "me/made"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert hub.created[0]["visibility"] == "private" and len(hub.commits) == 1
    assert "| torch\n" not in done.stderr and "| transformers\n" not in done.stderr
