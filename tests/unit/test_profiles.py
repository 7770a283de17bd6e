"""The profiles: what their one block of a cluster's names turns into, and that no rule is forgotten."""

import re
from io import StringIO
from pathlib import Path

import pytest
from snakemake.profiles import ProfileConfigFileParser

ROOT = Path(__file__).parents[2]
GPU_RULES = {"align", "train", "train_selecting", "train_on", "filter", "warm_up", "gradients", "logprobs"}
GPU_RULES |= {"generate", "judge", "pairwise", "behaviour", "category", "rewrite", "embed"}


def parse(text: str) -> dict[str, list[str] | str]:
    stream = StringIO(text)
    stream.name = "profiles/slurm/config.yaml"
    return ProfileConfigFileParser().parse(stream)


def profile(name: str, **changed: str) -> dict[str, list[str] | str]:
    """A profile's keys as Snakemake reads them, with other values in its block of names."""
    text = (ROOT / "profiles" / name / "config.yaml").read_text()
    for key, value in changed.items():
        text, found = re.subn(rf"(?m)^  {key}: \S+", f"  {key}: {value}", text)
        assert found == 1, key
    return parse(text)


def resources(read: dict[str, list[str] | str]) -> dict[str, dict[str, str]]:
    found = {}
    for item in read["set-resources"]:
        rule, pair = item.split(":", 1)
        found.setdefault(rule, {}).update([pair.split("=", 1)])
    return found


def rules(local: bool) -> set[str]:
    """Rules of the workflow, that run where Snakemake runs or that do not."""
    texts = [path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk")]
    parts = [part for text in texts for part in re.split(r"(?m)^(?=rule |checkpoint |use rule )", text)[1:]]
    named = {re.match(r"(?:use rule \w+ as|\w+) (\w+)", part)[1]: "    localrule: True\n" in part for part in parts}
    return {name for name, here in named.items() if here == local}


def test_each_rule_that_is_submitted_has_a_size_that_grows():
    found = resources(profile("slurm"))
    assert found.pop("doctor") == {"node_gpus": "4", "gpu_gigabytes": "48"}
    assert set(found) == {name for name in rules(local=False) if not name.startswith("world_")}
    for rule, asks in found.items():
        assert asks["mem_mb"].endswith(" * attempt") and asks["runtime"].endswith(" * attempt"), rule


def test_gpu_rules_ask_for_one_gpu_and_no_other_rule_does():
    found = resources(profile("slurm"))
    assert {rule for rule, asks in found.items() if asks.get("gpu") == "1"} == GPU_RULES
    assert {rule for rule, asks in found.items() if asks.get("slurm_partition") == "gpu-l40s"} == GPU_RULES
    assert {asks["gpu_model"] for rule, asks in found.items() if rule in GPU_RULES} == {"l40s"}
    local = resources(profile("local-gpu"))
    assert local == {rule: {"gpu": "1"} for rule in GPU_RULES}


@pytest.mark.parametrize("model, gres", [("l40s", "gpu:l40s:1"), ("null", "gpu:1")])
def test_a_cluster_that_wants_gres_is_asked_with_gres_alone(model, gres):
    found = resources(profile("slurm", ask_with_gres="true", gpu_model=model))
    for rule in GPU_RULES:
        assert found[rule]["gres"] == gres and not {"gpu", "gpu_model"} & set(found[rule]), rule
    assert not any("gres" in asks for rule, asks in found.items() if rule not in GPU_RULES)


def test_a_gpu_of_any_model_is_asked_for_without_one():
    found = resources(profile("slurm", gpu_model="null"))
    assert {(asks.get("gpu"), asks.get("gpu_model")) for rule, asks in found.items() if rule in GPU_RULES} == {
        ("1", None)
    }


def test_account_qos_and_constraint_are_for_all_jobs_and_left_out_where_not_named():
    assert profile("slurm")["default-resources"] == ["slurm_partition=cpu"]
    named = {"cpu_partition": "batch", "account": "lab", "qos": "long", "constraint": "48gb"}
    wanted = ["slurm_partition=batch", "slurm_account=lab", "qos=long", "constraint=48gb"]
    assert profile("slurm", **named)["default-resources"] == wanted


def test_the_default_profile_leaves_the_others_their_keys():
    """The default one wins over any that is named, key by key."""
    default = set(profile("default"))
    assert not default & {"latency-wait", "retries", "executor", "configfile", "jobs", "set-resources"}
    assert (ROOT / "slurm").readlink() == Path("profiles/slurm")


def test_each_key_of_a_profile_is_explained():
    for name in ("slurm", "local-gpu", "default"):
        lines = (ROOT / "profiles" / name / "config.yaml").read_text().splitlines()
        before = dict(zip(lines[1:], lines, strict=False))
        for line in filter(re.compile(r"[a-z-]+:").match, lines):
            assert before[line].startswith("# "), f"{name}: {line}"
