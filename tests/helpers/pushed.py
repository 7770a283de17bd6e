"""The results of a study that nothing trained: an adapter, a subset, tables and pages, each with its manifest row."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import save_file

from ballast.data import data_card, export
from ballast.files import digest, write_csv, write_json, write_parquet, write_text
from ballast.running import manifest
from ballast.training import cards

STUDY = Path("results/made")
RUN = STUDY / "runs/llama/safety/sss-b/n2/t0"
SUBSET = STUDY / "subsets/safety/sss-b/n2/t0"
REVISION = "1" * 40
POOL = "/home/me/my_pool.jsonl"
PLACE = {"home": "pool.json", "revision": "-", "licence": "CC BY-NC 4.0", "hub": False}
MODEL = {"name": "Llama 2", "home": "meta/Llama-2", "revision": REVISION, "hub": True}
BASE = {"name": "base data", "home": "us/base", "revision": REVISION, "licence": "CC BY-NC 4.0", "hub": True}
TRAINING = {"max_length": 512, "lora": {"r": 8}}
LOG = {"rows_by_origin": {"base": 10, "subset": 2}, "rows_cut": 0, "seed": 7, "steps": 3, "last_loss": 0.5}


def record(path: Path | str, rule: str, **options) -> None:
    """Write a file's manifest row, as `stage` does; `options` are the stage's arguments."""
    arguments = [
        word
        for key, value in options.items()
        for word in (f"--{key}", json.dumps(value) if isinstance(value, dict) else str(value))
    ]
    manifest.record([str(path)], rule, "c0dec0dec0dec0de", arguments)


def adapter(pool_licence: str = "CC BY-NC 4.0", model_licence: str = "Apache-2.0", start: str = "sources") -> None:
    """Write a run; `start`: the folder of its base model, `sources` or `aligned`."""
    RUN.mkdir(parents=True, exist_ok=True)
    save_file({"lora_A": np.ones((2, 2), "float32")}, RUN / "adapter_model.safetensors")
    write_json(RUN / "adapter_config.json", {"base_model_name_or_path": "llama", "peft_type": "LORA", "revision": None})
    write_json(RUN / "training.json", LOG)
    write_parquet(RUN / "responses.parquet", pd.DataFrame({"response": ["a text"]}))
    for name in ("adapter_model.safetensors", "adapter_config.json", "training.json"):
        record(RUN / name, "train", model=STUDY / start / "llama", seed=7)
    record(RUN / "responses.parquet", "respond")
    options = {"study": "made", "synthetic": False, "run": "llama/safety/sss-b/n2/t0", "method": "sss-b", "n": 2}
    options |= {"trial": 0, "model": MODEL | {"licence": model_licence}, "parts": {"sampler": "sss-b"}}
    options |= {"data": [BASE, PLACE | {"name": "safety", "licence": pool_licence}], "prompt": "the chat template"}
    options |= {"training": TRAINING, "metrics": []}
    digests = {"adapter": digest(RUN / "adapter_model.safetensors"), "config": digest(RUN / "adapter_config.json")}
    write_text(RUN / "README.md", cards.card(cards.ModelCard(**options), LOG, digests))
    record(RUN / "README.md", "card", options=options)


def subset(licence: str = "CC BY-NC 4.0", behaviours=("T1", "T3"), **told) -> None:
    """Write an exported subset of two rows; `told`: what its options say besides, such as redact."""
    ids = [f"{number:016x}" for number in range(len(behaviours))]
    write_csv(SUBSET.with_suffix(".csv"), pd.DataFrame({"rank": [1, 2], "id": ids, "category": ["", ""]}))
    record(SUBSET.with_suffix(".csv"), "sample")
    records = [{"instruction": f"Ask {row}.", "input": "", "output": f"Answer {row}."} for row in range(len(ids))]
    write_text(SUBSET / "subset.jsonl", export.json_lines(records))
    rows = pd.DataFrame({"rank": [1, 2], "id": ids, "row": [0, 1], "behaviour": behaviours, "category": pd.NA})
    write_csv(SUBSET / "ids.csv", rows)
    write_json(SUBSET / "dataset_info.json", {"made": {"file_name": "subset.jsonl"}})
    for kind in ("png", "svg"):
        write_text(SUBSET / f"pool.{kind}", "a picture")
    about = [
        ["pool", f"safety: {POOL}"],
        ["licence of the pool", licence],
        ["subset's SHA-256", digest(SUBSET.with_suffix(".csv"))],
    ]
    card = data_card.DataCard("sss-b", "safety", "A rule.", licence, about, [], export.ALPACA, records[0])
    table = rows.assign(quota=pd.NA)
    write_text(SUBSET / "README.md", data_card.text(card, table, table))
    options = {"study": "made", "pool": "safety", "name": "made-sss-b-2-0", "licence": licence, **told}
    for name in ("README.md", "subset.jsonl", "ids.csv", "dataset_info.json", "pool.png", "pool.svg"):
        record(SUBSET / name, "export", options=options, source=POOL)


def study(redact: bool = True) -> None:
    """Write tables, a figure, scores, pages, and what no push takes: data, logs, links, partial work."""
    shown = {"options": {"redact": redact}}
    for name, rule, options in (
        ("tables/table1.md", "table", {"options": {"study": "made"}}),
        ("tables/table3.md", "table", shown),
        ("explore.html", "explore", shown),
        ("pages/tables/table1.md.html", "pages", {}),
        ("pages/tables/table3.md.html", "pages", {}),
        ("figures/figure3.png", "figure", {}),
        ("headline.txt", "headline", {}),
        ("about/config.md", "about", {}),
        ("data/pools/safety.csv", "data", {}),
    ):
        write_text(STUDY / name, f"{rule} of {name}\n")
        record(STUDY / name, rule, **options)
    write_parquet(STUDY / "scores.parquet", pd.DataFrame({"score": [0.5]}))
    record(STUDY / "scores.parquet", "scores")
    source = {"hub": "us/base", "github": None, "package": None, "revision": REVISION, "licence": "CC BY-NC 4.0"}
    write_json(STUDY / "sources/base/source.json", {"name": "base"})
    record(STUDY / "sources/base/source.json", "fetch", name="base", source=source)
    write_text(STUDY / "sources/base/rows.json", "[]")
    write_text(STUDY / "logs/table1.log", "a log")
    write_text(STUDY / "partial/train/checkpoint.bin", "half")
    write_text(STUDY / "tables/mine.md", "written by hand")
    write_text(STUDY / "tables/.table1.md.abcdefgh", "half")
    write_text("elsewhere.md", "outside")
    os.symlink("../../../elsewhere.md", STUDY / "tables/link.md")
