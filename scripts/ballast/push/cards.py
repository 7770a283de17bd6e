"""Turn Ballast's cards into cards of the hub: metadata that it reads, the push's files, and what made them."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ballast.files import BallastError, read_text
from ballast.markup import markdown, pipe_table
from ballast.push import licences

if TYPE_CHECKING:
    from ballast.push.results import File, Results

TAGS = ["ballast", "safety", "research"]
# Lines of the cards that the stages `card` and `export` write.
FOLDER = '"<this folder>"'
LOADING = "## Loading\n"
IDS = "`ids.csv`: "
LOAD = 'load_dataset("json", data_files="subset.jsonl", split="train")'
SHOWN = ("figures/figure3.png", "figures/figure2.png", "figures/advice.png")


def adapter(text: str, options: dict, row: dict, files: Sequence["File"], repo: str, base: dict | None) -> str:
    """Return the card of a pushed adapter. `base`: its base model on the hub; None if it has none there."""
    from huggingface_hub import ModelCard, ModelCardData

    text = _with(text, FOLDER, f'"{repo}"')
    if not base:  # the card names the model that the study started from
        text = text.replace(f'"{options["model"]["home"]}"', '"<folder of the base model>"')
    card = ModelCard(text)
    hub = {"base_model": base["home"], "base_model_relation": "adapter"} if base else {}
    data = sorted({part["home"] for part in options["data"] if part["hub"]})
    parts = [part["licence"] for part in (options["model"], *options["data"])]
    told = hub | licences.metadata(parts) | {"library_name": "peft", "pipeline_tag": "text-generation"}
    told |= {"datasets": data} if data else {}
    card.data = ModelCardData(**told, tags=["lora", *TAGS])
    note = "" if base else "The base model is not on the hub: the study made it, or took a folder or a package.\n"
    card.text = "\n".join([card.text.rstrip("\n") + "\n", _made(row), note, _files(files)])
    return str(card)


def subset(text: str, options: dict, row: dict, files: Sequence["File"], repo: str, rows: bool) -> str:
    """Return the card of a pushed subset, with its rows or without."""
    from huggingface_hub import DatasetCard, DatasetCardData

    if os.path.isabs(file := str(row["config"].get("source", ""))):  # a path of this machine is nobody's business
        text = text.replace(markdown(file), markdown(os.path.basename(file)))
    card = DatasetCard(_with(text, LOAD, f'load_dataset("{repo}", split="train")'))
    if not rows:
        before, _, after = _with(card.text, LOADING, LOADING).partition(LOADING)
        said = "## Ids alone\n\nThe texts are not here. The table names the pool's file, and `row` a row of it.\n\n"
        card.text = f"{before}{said}{IDS}{_with(after, IDS, IDS).partition(IDS)[2]}"
    file = "subset.jsonl" if rows else "ids.csv"
    told = licences.metadata([options["licence"]]) | {"pretty_name": f"{options['name']} (Ballast)"}
    configs = [{"config_name": "default", "data_files": file}]
    card.data = DatasetCardData(**told, tags=TAGS, configs=configs)
    card.text = "\n".join([card.text.rstrip("\n") + "\n", _made(row), _files(files)])
    return str(card)


def study(results: "Results", rows: dict[Path, dict], files: Sequence["File"]) -> str:
    """Return the card of a study's results: headline, advice, sources with their licences, and the files."""
    from huggingface_hub import DatasetCard, DatasetCardData

    there = {file.name: file for file in files}
    parts = [
        f"# Results of the Ballast study {results.study}\n",
        "Tables, figures, scores and pages, without any text of a prompt, a response or a row of data. The id of a "
        "prompt is a hash of its content.\n",
    ]
    parts += [f"![{name}]({name})\n" for name in SHOWN if name in there][:1]
    for name in ("headline.txt", "advice.txt"):
        if name in there:
            title, body = Path(name).stem.capitalize(), read_text(there[name].content).strip()
            parts.append(f"## {title}\n\n```text\n{body}\n```\n")
    fetched = [row["config"] for _, row in results.rows() if row["rule"] == "fetch"]
    if fetched:
        lines = [_source(one["name"], one["source"]) for one in fetched]
        parts.append("## Sources\n\n" + pipe_table(["source", "from", "revision", "licence"], lines) + "\n")
    versions = sorted({row["ballast"] for row in rows.values()})
    about = "; `about/` has the config and the libraries" if "about/config.md" in there else ""
    parts.append(f"## Provenance\n\nMade by Ballast {', '.join(versions)}{about}.\n")
    parts.append(_files(files))
    first = [{"config_name": "scores", "data_files": "scores.parquet"}] if "scores.parquet" in there else None
    # The viewer of the hub would join tables of different columns.
    told = {"configs": first} if first else {"viewer": False}
    card = DatasetCard("---\n{}\n---\n" + "\n".join(parts))
    card.data = DatasetCardData(pretty_name=f"Ballast study {results.study}", tags=TAGS, **told)
    return str(card)


def licence_of(text: str) -> str:
    """Return the licence that a card's metadata give, in words."""
    from huggingface_hub.repocard import RepoCard

    data = RepoCard(text).data.to_dict()
    name = data.get("license_name")
    return f"other ({name})" if name else data.get("license", "none stated")


def _source(name: str, source: dict) -> list[str]:
    home = source["hub"] or source["github"] or source["package"]
    return [name, home, source["revision"], source["licence"]]


def _with(text: str, old: str, new: str) -> str:
    if old not in text:
        raise BallastError(f"the card lacks '{old.strip()}', which Ballast writes; delete the card and make it again")
    return text.replace(old, new)


def _made(row: dict) -> str:
    """Return a section on what made a file, from its manifest row."""
    versions = row["versions"]
    lines = [
        ["Ballast", row["ballast"]],
        ["stage", row["rule"]],
        ["code identity", row["code"]],
        *([["seed", row["config"]["seed"]]] if "seed" in row["config"] else []),
        ["libraries", ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))],
    ]
    return "## Provenance\n\n" + pipe_table(["", ""], lines) + "\n"


def _files(files: Sequence["File"]) -> str:
    lines = [[file.name, f"{file.size:,}", file.sha256, file.remark] for file in files]
    return "## Files\n\n" + pipe_table(["file", "bytes", "SHA-256", ""], lines) + "\n"
