"""The workflow as a whole: what a dry run shows, linting, targets, and configs that stop it."""

import functools
import json
import math
import os
import re
import shlex
from pathlib import Path

import pytest
import yaml
from helpers import forked
from helpers.edits import DOCUMENTS, SMALL

from ballast.study import config
from ballast.study.runs import measured, runs, subset, trained

pytestmark = pytest.mark.workflow
RELEASE = pytest.mark.release
ROOT = Path(__file__).parents[2]


def snakemake(*arguments, folder):
    """Run Snakemake on a working folder of its own, with the repository's Snakefile and default profile."""
    place = ["--snakefile", ROOT / "Snakefile", "--workflow-profile", ROOT / "profiles/default", "--directory", folder]
    return forked.run(folder, *place, *arguments)


def counts(output: str) -> dict[str, int]:
    """Job counts by rule of a dry run."""
    return {name: int(number) for name, number in re.findall(r"^(\w+) +(\d+)$", output, re.MULTILINE)}


@pytest.fixture(scope="module")
def cold(tmp_path_factory):
    """Job counts by rule of a study's dry run in an empty folder, shown once."""

    @functools.cache
    def shown(name: str) -> dict[str, int]:
        folder = tmp_path_factory.mktemp(name)
        (folder / "config").symlink_to(ROOT / "config")
        config_file = ROOT / f"config/{name}.yaml"
        done = snakemake("--dry-run", "--quiet", "rules", "--configfile", config_file, folder=folder)
        assert done.returncode == 0, done.stderr
        return counts(done.stdout)

    return shown


def with_mini(tmp_path, **changes):
    raw = config.read(ROOT / "config/mini.yaml") | changes
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(raw))
    return path


def test_a_cold_dry_run_shows_the_whole_study(cold):
    study = config.load(config.read(ROOT / "config/mini.yaml"))
    asked = measured(study)
    found = cold("mini")
    assert found["train"] == len(runs(study)) == len(asked) - len(study.as_is) and found["generate"] == len(asked)
    assert found["judge"] == sum(map(len, asked.values()))
    assert found["sample"] == len({subset(study, run) for run in runs(study)})
    assert (found["world_model"], found["world_judge"]) == (5, 5)
    assert (found["scores"], found["table"], found["figure"], found["comparison"]) == (13, 9, 9, 3)
    assert [found[name] for name in (*DOCUMENTS, "about", "cost")] == [1] * (len(DOCUMENTS) + 2)


def test_the_checks_are_shown_whole_and_no_other_study_has_them(cold):
    study = config.load(config.read(ROOT / "config/checks.yaml"))
    asked = measured(study)
    found, mini = cold("checks"), cold("mini")
    judges = [study.every_metric[name].judge for names in asked.values() for name in names]
    assert found["pairwise"] == sum(judge in study.pairwise for judge in judges) > 0
    assert found["judge"] == sum(judge in study.judges for judge in judges)
    assert found["train_on"] == len(runs(study)) - len(trained(study)) > 0 and found["train"] == len(trained(study))
    assert found["behaviour"] == 2 and found["world_judge"] == 6 and found["world_checks"] == found["checks"] == 1
    assert not {"pairwise", "train_on", "world_checks", "checks"} & set(mini)


def test_a_pool_with_the_requests_of_another_takes_its_picks(cold):
    study = config.load(config.read(ROOT / "config/mechanism.yaml"))
    subsets = {(run.pool, subset(study, run)) for run in runs(study)}
    found, swapped = cold("mechanism"), sum(pool == "swapped" for pool, _ in subsets)
    assert found["swap"] == swapped == 4 * study.experiments.swapping.trials
    assert found["sample"] == len(subsets) - swapped and found["train"] == len(runs(study))


@pytest.mark.parametrize("name,models", [("dualselect", 3), ("dualselect-mini", 1), ("dualselect-small", 1)])
def test_dualselect_is_shown_whole_with_its_baselines_claims_and_second_task(cold, name, models):
    study, found = config.load(config.read(ROOT / f"config/{name}.yaml")), cold(name)
    method = study.methods["dualselect"].options
    assert (method["selection"], method["references"], method["budget"]) == ("entropy", 0.1, 0.9)
    transfer, beyond = study.experiments.transfer.samplers, study.experiments.beyond.samplers
    more = set(beyond) - set(transfer)  # dualselect-b, of one model
    assert found["train_selecting"] == 3 * (models + len(more)) and found["train_on"] == 9
    assert found["train"] + found["train_selecting"] == len(trained(study)) == 3 * (models * len(transfer) + len(more))
    assert (found["claims"], found["spent"], found["checks"]) == (1, 1, 1)
    assert found.get("pairwise", 0) == sum(
        study.every_metric[metric].judge in study.pairwise for names in measured(study).values() for metric in names
    )


@pytest.mark.parametrize("name", ["paper", "paper-fork", pytest.param("paper-fast", marks=RELEASE)])
def test_the_paper_study_is_shown_whole_before_anything_is_fetched(cold, name):
    found = cold(name)
    assert found["train"] == 239 + 40 + 160 + 140 + 1 and found["generate"] == found["train"] + 2
    # Harm, attack success and over-refusal of Table 1's runs; what each other experiment shows; four for Table 5.
    assert found["judge"] == 239 * 3 + 40 * 2 + 160 + 140 + 1 + 3 * 4
    assert (found["fetch"], found["rewrite"], found["table"], found["figure"]) == (22, 1, 10, 9)


def test_what_a_reviewer_asks_for_is_the_paper_study_and_more(cold):
    found = cold("paper-plus")
    sampling = 1 * 10 + 8 * 7 * 10  # every sampler, Random-B too, ten times, and base data alone
    assert found["train"] == sampling + 40 + 160 + 140 + 1 and found["generate"] == found["train"] + 6
    # Both attack denominators; the models as they are are asked all that their experiments show.
    assert found["judge"] > sampling * 4 + 40 * 2 + 160 + 140 * 2
    assert "checks" not in found, "another denominator is no second opinion"


@pytest.mark.parametrize(
    ("name", "profile"),
    [
        ("paper", "slurm"),
        ("mini", "profiles/local-gpu"),
        *(pytest.param(*other, marks=RELEASE) for other in (("mini", "slurm"), ("paper", "profiles/local-gpu"))),
    ],
)
def test_a_profile_shows_the_whole_paper_study_and_leaves_another_its_place(tmp_path, cold, profile, name):
    (tmp_path / "config").symlink_to(ROOT / "config")
    given = ["--configfile", ROOT / "config/mini.yaml"] if name == "mini" else []
    done = snakemake("--dry-run", "--quiet", "rules", "--profile", ROOT / profile, *given, folder=tmp_path)
    assert counts(done.stdout) == cold(name) and cold(name)["train"] > 100, done.stderr


# Without messages a dry run shows each job's resources.
SHOWING = f"""
include: "{ROOT}/Snakefile"
for one in workflow.rules:
    one.message = None
"""


@pytest.mark.parametrize("gres", [False, pytest.param(True, marks=RELEASE)])
def test_a_study_on_several_gpus_asks_for_them_on_one_node(tmp_path, gres):
    raw = config.read(ROOT / "config/mini.yaml")
    judges = raw["judges"] | {"wildguard": raw["judges"]["wildguard"] | {"backend": "vllm", "tensor_parallel": 2}}
    generation = raw["generation"] | {"backend": "vllm", "tensor_parallel": 4}
    study = with_mini(tmp_path, training=raw["training"] | {"gpus": 3}, generation=generation, judges=judges)
    profile = (ROOT / "profiles/slurm/config.yaml").read_text()
    (tmp_path / "profile").mkdir()
    (tmp_path / "profile/config.yaml").write_text(profile.replace("gres: false", f"gres: {json.dumps(gres)}"))
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    (tmp_path / "Snakefile").write_text(SHOWING)
    given = ["--dry-run", "--profile", tmp_path / "profile", "--configfile", study, "--snakefile"]
    done = forked.run(tmp_path, "all", *given, tmp_path / "Snakefile", "--workflow-profile", ROOT / "profiles/default")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    asked = {}
    for job in re.split(r"\n(?= *rule )", done.stdout):
        rule, judge = (re.search(rf"{what}([\w-]+)", job) for what in ("^ *rule ", "judge="))
        if rule and (found := re.search(r"    resources: (.*)", job)):
            kept = dict(re.findall(r"\b(gpu|gres|nodes)=([^,]+)", found[1]))
            asked.setdefault((rule[1], judge and judge[1]), set()).add(tuple(kept.values()))
    node = {number: (f"gpu:l40s:{number}", "1") if gres else (str(number), "1") for number in (1, 2, 3, 4)}
    assert asked["train", None] == {node[3]} and asked["generate", None] == {node[4]}
    assert asked["judge", "wildguard"] == {node[2]} and asked["judge", "harm-rm"] == {node[1]}
    assert asked["embed", None] == {node[1][:1]} and asked["sample", None] == {()}


def test_the_example_of_a_dry_run_on_a_cluster_is_what_it_shows(cold):
    assert counts((ROOT / "docs/cluster.md").read_text()) == cold("paper")


def test_a_study_without_samplers_beside_each_other_has_what_the_rest_shows(tmp_path):
    experiments = {name: None for name in config.read(ROOT / "config/mini.yaml")["experiments"]}
    experiments["behaviour"] = {
        "models": ["llama"],
        "pools": ["safety"],
        "samplers": ["t1", "t2"],
        "n": [14],
        "trials": 1,
    }
    given = ["--configfile", with_mini(tmp_path, experiments=experiments, as_is=[])]
    done = snakemake("--dry-run", "--quiet", "rules", *given, folder=tmp_path)
    found = counts(done.stdout)
    assert (found["train"], found["figure"], found["table"]) == (2, 2, 2), done.stderr
    assert {"claims", "explore"} <= set(found) and not {"headline", "advice", "trouble"} & set(found)
    done = snakemake("--dry-run", *given, "--", "results/mini/headline.txt", folder=tmp_path)
    assert done.returncode != 0
    assert "headline shows experiments.sampling, which the config leaves out" in done.stdout + done.stderr


def test_the_doctor_is_a_target_of_its_own(tmp_path):
    (tmp_path / "config").symlink_to(ROOT / "config")
    done = snakemake("doctor", "--dry-run", "--configfile", ROOT / "config/paper.yaml", folder=tmp_path)
    assert counts(done.stdout) == {"doctor": 1, "total": 1}, "the doctor waits for nothing"


@pytest.mark.parametrize(
    "name", ["mini", "paper", *(pytest.param(name, marks=RELEASE) for name in ("beyond", "checks"))]
)
def test_the_bill_counts_the_jobs_that_would_run(tmp_path, cold, name):
    (tmp_path / "config").symlink_to(ROOT / "config")
    given, dry = ["--configfile", ROOT / f"config/{name}.yaml"], cold(name).copy()
    done = snakemake("bill", "--groups", "judge=judging", "--group-components", "judging=8", *given, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    # Rule, jobs, cluster jobs.
    lines = re.findall(r"^(\w+(?: [\w-]+)?) +([\d,]+) +([\d,]+)(?: |$)", done.stdout, re.MULTILINE)
    lines = {rule: (int(jobs.replace(",", "")), int(clusters.replace(",", ""))) for rule, jobs, clusters in lines}
    judging = [lines[rule] for rule in lines if rule.startswith("judge ")]
    for same in ("train_selecting", "train_on"):
        dry["train"] += dry.get(same, 0)
    asked = ("behaviour", "category", "warm_up", "gradients", "logprobs", "filter", "train", "generate")
    assert {rule: lines[rule][0] for rule in asked if rule in lines}.items() <= dry.items()
    if name != "checks":  # There a rule judges too, which is no line.
        assert [sum(column) for column in zip(*judging, strict=True)] == [dry["judge"], math.ceil(dry["judge"] / 8)]
    assert len(judging) == 4
    # `all` is no job of anyone's.
    assert lines["total"][0] == dry["total"] - 1
    assert ("GPU-h" in done.stdout) == (name == "paper"), "the mini world needs no GPU"


def test_a_repair_is_said_with_the_configs_that_the_study_was_run_with(tmp_path):
    (tmp_path / "mine.yaml").write_text("as_is: []")
    given = ["--configfile", ROOT / "config/mini.yaml", tmp_path / "mine.yaml", "--config", "redact=False", "seed=3"]
    done = snakemake("verify", "--dry-run", "--printshellcmds", *given, folder=tmp_path)
    [said] = re.findall(r"--command '(.*?)' --rules", done.stdout.replace("'\"'\"'", '"'))
    files = [os.path.relpath(path, tmp_path) for path in (ROOT / "Snakefile", ROOT / "config/mini.yaml")]
    wanted = ["snakemake", "--snakefile", files[0], "--configfile", files[1], "mine.yaml", "--config"]
    assert shlex.split(said) == [*wanted, "redact=false", "seed=3"]


def test_a_copy_that_is_not_there_is_named_before_any_job(tmp_path):
    raw = {"extends": str(ROOT / "config/paper.yaml"), "sources": {"llama-2-7b": {"local": "$NO_SUCH_PLACE/llama"}}}
    (tmp_path / "config").symlink_to(ROOT / "config")
    for raw["sources"]["llama-2-7b"]["local"], line in (
        ("$NO_SUCH_PLACE/llama", "sources.llama-2-7b.local: $NO_SUCH_PLACE/llama: 'NO_SUCH_PLACE' is not set"),
        ("absent", "sources.llama-2-7b.local: absent: no such model on this machine"),
    ):
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump(raw))
        done = snakemake("--dry-run", "--configfile", tmp_path / "mine.yaml", folder=tmp_path)
        assert done.returncode != 0 and line in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("target", "present", "absent"),
    [
        ("subsets", "sample", "train"),
        ("tables", "table", "figure"),
        ("figures", "figure", "table"),
        ("advice", "advice", "trouble"),
        ("trouble", "trouble", "advice"),
    ],
)
def test_targets_by_name(tmp_path, target, present, absent):
    done = snakemake(target, "--dry-run", "--quiet", "rules", "--configfile", ROOT / SMALL, folder=tmp_path)
    found = counts(done.stdout)
    assert present in found and absent not in found


def test_an_experiment_that_is_left_out_has_no_table_and_no_figure(tmp_path):
    experiments = config.read(ROOT / "config/mini.yaml")["experiments"]
    del experiments["transfer"], experiments["rewriting"]
    path = with_mini(tmp_path, experiments=experiments)
    found = counts(snakemake("--dry-run", "--quiet", "rules", "--configfile", path, folder=tmp_path).stdout)
    assert (found["table"], found["figure"]) == (8, 8)


def test_every_rule_says_what_it_costs_and_where_it_logs():
    for file in (ROOT / "workflow/rules").glob("*.smk"):
        for rule in re.split(r"(?m)^rule ", file.read_text())[1:]:
            for part in ("input:", "output:", "params:", "log:", "resources:", "message:", "shell:"):
                none = ("input:", "output:")
                free = {"world_data": ("input:",), "about": ("input:",), "doctor": none, "verify": none, "bill": none}
                free |= {"world_checks": ("input:",), "inspect": ("output:", "params:"), "adopt": ("output:",)}
                assert part in rule or part in free.get(rule.split(":")[0], ()), f"{rule.split(':')[0]}: {part}"


def test_rule_files_hold_rules():
    for file in (ROOT / "workflow/Snakefile", *(ROOT / "workflow/rules").glob("*.smk")):
        held = re.findall(r"(?m)^\s*(?:def|class) \w+", file.read_text())
        assert not held, f"{file.name}: {held}: functions are Python, in scripts/ballast/study or running"
        # `benchmark:` would measure the client of the preloaded process; a job's log ends with the job's own cost.
        assert not re.search(r"(?m)^    benchmark:", file.read_text()), file.name


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"sampelrs": 1}, "ballast: config: 'sampelrs' is not a key; did you mean 'sampling'?"),
        ({"seed": "one"}, "ballast: config: seed: input should be a valid integer, got 'one'"),
        (
            {
                "pools": {
                    "safety": {"path": "absent.json"},
                    "refusals": {"world": "refusals.json"},
                    "safe": {"world": "safe.json"},
                }
            },
            "ballast: config: pools.safety.path: absent.json: no such file",
        ),
        (
            {"base": {"world": "bse.json"}},
            "ballast: config: base.world: the mini world makes no 'bse.json'; did you mean 'base.json'?",
        ),
    ],
)
def test_a_bad_config_stops_in_one_line_before_any_job(tmp_path, changes, line):
    done = snakemake("--dry-run", "--configfile", with_mini(tmp_path, **changes), folder=tmp_path)
    assert done.returncode != 0
    said = [
        text for text in done.stderr.splitlines() if text and not text.startswith("Using workflow specific profile")
    ]
    assert said == [line]


def test_a_bad_key_on_the_command_line_stops_in_the_same_line(tmp_path):
    done = snakemake("--dry-run", "--configfile", with_mini(tmp_path), "--config", "sampelrs=sss", folder=tmp_path)
    assert done.returncode != 0
    assert "ballast: config: 'sampelrs' is not a key; did you mean 'sampling'?" in done.stderr.splitlines()
    assert "Traceback" not in done.stderr


def test_a_sampler_that_does_not_exist_is_named_with_the_nearest(tmp_path):
    experiments = config.read(ROOT / "config/mini.yaml")["experiments"]
    experiments["sampling"]["samplers"] = ["random", "cosim"]
    done = snakemake("--dry-run", "--configfile", with_mini(tmp_path, experiments=experiments), folder=tmp_path)
    assert done.returncode != 0
    assert "experiments.sampling: no sampler is called 'cosim'; did you mean 'cossim'?" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("place", ["models", "judges"])
def test_a_model_path_that_does_not_exist_is_named(tmp_path, place):
    raw = config.read(ROOT / "config/mini.yaml")
    name = {"models": "llama", "judges": "harm-rm"}[place]
    section = raw[place] | {name: {"path": "meta-llama/Llama-2-7b-hf"}}
    done = snakemake("--dry-run", "--configfile", with_mini(tmp_path, **{place: section}), folder=tmp_path)
    assert done.returncode != 0
    wanted = f"ballast: config: {place}.{name}.path: meta-llama/Llama-2-7b-hf: no model here (no config.json)"
    assert any(text.startswith(wanted) for text in done.stderr.splitlines())
