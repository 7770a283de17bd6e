"""Licences as `ballast push` judges them, and what an export states for it."""

import json
from pathlib import Path

import yaml

from ballast.push import licences
from ballast.study import config
from ballast.study.card_options import CardOptions
from ballast.study.job_inputs import JobInputs
from ballast.study.job_options import JobOptions
from ballast.study.plan import Plan

ROOT = Path(__file__).parents[2]
# Sources whose rows push refuses, unless a person has read their terms; gated ones always.
UNJUDGED = {"xstest-answers", "wildjailbreak-harmful", "wildjailbreak-benign", "wildguard", "harmbench-cls"}


def test_every_licence_of_the_sources_is_judged():
    sources = yaml.safe_load((ROOT / "config/sources.yaml").read_text())["sources"]
    refused = {name for name, source in sources.items() if licences.refusal(source["licence"], False)}
    assert refused == UNJUDGED
    gated = {name for name, source in sources.items() if licences.refusal(source["licence"], True, source.get("gated"))}
    assert gated == {name for name, source in sources.items() if source.get("gated")}
    assert licences.metadata(["MIT", "Apache-2.0", "CC BY-NC 4.0"]) == {"license": "cc-by-nc-4.0"}
    for licence in ("CC BY-NC-ND 4.0", "no derivatives", "All rights reserved", "None", "no license", "proprietary"):
        assert licences.refusal(licence, True), licence
    assert not licences.refusal("may be shared with friends", True)


def test_an_export_states_what_push_must_know_and_nothing_at_the_defaults():
    def told(**changes) -> dict:
        changes = {"redact": True} | changes
        study = config.load(config.read(ROOT / "config/mini.yaml") | changes)
        cards = CardOptions(JobOptions(JobInputs(Plan(study))))
        names = {"pool": "safety", "sampler": "random", "n": "14", "trial": "0"}
        return json.loads(cards.export(type("Names", (dict,), {"__getattr__": dict.__getitem__})(names)))

    assert "redact" not in told() and "gated" not in told() and told()["licence"] == "Apache-2.0, as Ballast"
    assert told(redact=False)["redact"] is False
    entry = {"kind": "dataset", "hub": "us/pool", "revision": "1" * 40, "files": {"a.jsonl": "unknown"}, "gated": True}
    sources = {"mine": entry | {"licence": "MIT", "used_for": "a pool", "format": "alpaca"}}
    pools = config.read(ROOT / "config/mini.yaml")["pools"] | {"safety": {"source": "mine"}}
    assert told(sources=sources, pools=pools)["gated"] is True
