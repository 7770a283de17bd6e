"""Decide what a push holds: the files of an adapter, a subset or a study, their card, and what stays here."""

import csv
import io
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ballast.files import BallastError, read_text
from ballast.names import UNKNOWN
from ballast.push import cards, licences
from ballast.push.results import File, Results, made

ADAPTER = ("adapter_model.safetensors", "adapter_config.json", "training.json")
IDS = ("ids.csv", "pool.png", "pool.svg")
ROWS = ("subset.jsonl", "dataset_info.json")
# Stages whose files are a study's results.
REPORT = (
    *("about", "advice", "bill", "checks", "claims", "comparison", "explore", "figure", "gradient_report", "headline"),
    *("label_agreement", "measure", "pages", "people", "scores", "spent", "table", "trouble"),
)
# Stages whose files hold texts unless their options say `redact`.
REDACTS = ("explore", "table")
PAGES = "pages"


@dataclass(frozen=True)
class Consent:
    """The flags of `ballast push` by which a person asks for less, or states that they have checked something."""

    ids_only: bool = False
    licence_checked: bool = False
    texts_checked: bool = False


@dataclass(frozen=True)
class Push:
    """All that one commit uploads. `kind`: model or dataset of the hub; `found`: files in the folder."""

    what: str
    kind: str
    licence: str
    files: list[File]
    found: int
    left_out: Counter

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


def plan(given: str, repo: str, consent: Consent) -> Push:
    """Return what a path below results/<study>/ gives for the repository `repo`, each file checked.

    Raises BallastError if a file differs from its manifest row, if a licence forbids to publish, or if a text would be.
    """
    results = Results(given)
    inside = results.inside
    if inside == Path("."):
        return study(results)
    for top, mark, parts in (("runs", ADAPTER[0], adapter), ("subsets", IDS[0], subset)):
        if inside.parts[0] == top and (results.folder / inside).is_dir() and results.has(inside / mark):
            return parts(results, inside, repo, consent)
    if inside.parts[0] == "subsets" and inside.suffix == ".csv":
        folder = results.folder / inside.with_suffix("")
        raise BallastError(f"{given}: give the exported subset, the folder {folder}; `snakemake subsets` makes it")
    if inside.parts[0] == "subsets":
        raise BallastError(
            f"{given}: no exported subset here; give subsets/<pool>/<sampler>/n<n>/t<trial>, which "
            "`snakemake subsets` makes"
        )
    raise BallastError(
        f"{given}: push knows the folder of a run with an adapter (runs/<model>/<pool>/<sampler>/n<n>/t<trial>), of an "
        "exported subset (subsets/<pool>/<sampler>/n<n>/t<trial>), and of a whole study (results/<study>)"
    )


def adapter(results: Results, inside: Path, repo: str, consent: Consent) -> Push:
    """Return a run's adapter with its card; its config then names the base model of the hub, with its revision."""
    make = f"snakemake {results.folder / inside / 'README.md'}"
    weights, config, log = (results.file(inside / name, make) for name in ADAPTER)
    card, options = results.file(inside / "README.md", make), results.options(inside / "README.md")
    text = read_text(card.content)
    if weights.sha256 not in text:
        raise BallastError(f"{card.content}: this card describes other weights; run `{make}`")
    for part in (options["model"], *options["data"]):
        if said := licences.refusal(part["licence"], consent.licence_checked):
            why = f"an adapter carries the licences of its sources, and {part['name']}"
            raise BallastError(f"{results.folder / inside}: {why}: {said}")
    row = results.row(inside / ADAPTER[0])
    model, base = options["model"], None
    # A start that the study aligned or merged is no model of the hub.
    if model["hub"] and Path(row["config"]["model"]).parent.name == "sources":
        base = model
        config = _with_base(config, model)
    files = [weights, config, log]
    text = cards.adapter(text, options, row, files, repo, base)
    files = [made("README.md", text.encode(), "the card, for the hub"), *files]
    found, left = results.left_out(inside, {inside / file.name for file in files}, "an adapter")
    what = f"adapter of run {inside.relative_to('runs')} of study {results.study}"
    return Push(what, "model", cards.licence_of(text), files, found, left)


def _with_base(config: File, model: dict) -> File:
    """Return an adapter's config that peft can load by the name of the repository alone."""
    told = json.loads(read_text(config.content))
    told |= {"base_model_name_or_path": model["home"], "revision": model["revision"]}
    text = json.dumps(told, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    remark = f"names {model['home']} at its revision; else the study's file, SHA-256 {config.sha256}"
    return made(config.name, text.encode(), remark)


def subset(results: Results, inside: Path, repo: str, consent: Consent) -> Push:
    """Return an exported subset: ids, picture and card, and the rows if nothing forbids them."""
    make = "snakemake subsets"
    taken = IDS if consent.ids_only else (*IDS, *ROWS)
    files = [results.file(inside / name, make) for name in taken]
    card, row = results.file(inside / "README.md", make), results.row(inside / "README.md")
    options, text = results.options(inside / "README.md"), read_text(card.content)
    picked = results.file(f"{inside}.csv", make)
    if picked.sha256 not in text:
        raise BallastError(f"{card.content}: this subset was exported from other picks; run `{make}`")
    if not consent.ids_only and (said := _no_rows(files[0], options, consent)):
        raise BallastError(f"{results.folder / inside}: its rows stay here: {said}; or --ids-only pushes no text")
    text = cards.subset(text, options, row, files, repo, not consent.ids_only)
    files = [made("README.md", text.encode(), "the card, for the hub"), *files]
    found, left = results.left_out(inside, {inside / file.name for file in files}, "ids alone")
    what = f"{'ids of ' if consent.ids_only else ''}subset {inside.relative_to('subsets')} of study {results.study}"
    return Push(what, "dataset", cards.licence_of(text), files, found, left)


def _no_rows(ids: File, options: dict, consent: Consent) -> str | None:
    """Return why the rows of a subset cannot leave; None if they can."""
    if said := licences.refusal(options["licence"], consent.licence_checked, options.get("gated", False)):
        return f"pool {options['pool']}: {said}"
    if options.get("redact", True):
        return "the study hides texts; set `redact: false` in its config and run `snakemake subsets` again"
    behaviours = Counter(row["behaviour"] or UNKNOWN for row in csv.DictReader(io.StringIO(read_text(ids.content))))
    unsafe = {kind: behaviours[kind] for kind in ("T2", UNKNOWN) if behaviours[kind]}
    if unsafe and not consent.texts_checked:
        said = " and ".join(f"{number} {kind}" for kind, number in unsafe.items())
        return f"{said} of {behaviours.total()} may answer a harmful request; read them, then add --texts-checked"
    return None


def study(results: Results) -> Push:
    """Return a study's tables, figures, scores and pages, with a card. No file with a text is among them."""
    rows = {name: row for name, row in results.rows() if row["rule"] in REPORT}
    hidden = {name for name, row in rows.items() if row["rule"] in REDACTS and _shows_texts(row)}
    # The page of a document shows what the document shows.
    hidden |= {name for name in rows if name.parts[0] == PAGES and name.relative_to(PAGES).with_suffix("") in hidden}
    taken = [name for name in rows if name not in hidden]
    if not taken:
        raise BallastError(f"{results.folder}: no tables, figures or scores here yet; run `snakemake` first")
    files = [_below(results.file(name, f"snakemake {results.folder / name}"), name) for name in taken]
    rows = {name: rows[name] for name in taken}
    text = cards.study(results, rows, files)
    found, left = results.left_out(Path("."), set(taken), "a study's results")
    card = made("README.md", text.encode(), "the card, written for the hub")
    return Push(f"results of study {results.study}", "dataset", cards.licence_of(text), [card, *files], found, left)


def _shows_texts(row: dict) -> bool:
    options = row["config"].get("options")
    return isinstance(options, dict) and not options.get("redact", True)


def _below(file: File, name: Path) -> File:
    """Return a file under its path in the study; the config's page states what it tells about this machine."""
    remark = "shows the config's paths and servers" if name.name in ("config.md", "config.md.html") else ""
    return File(name.as_posix(), file.content, file.size, file.sha256, remark)
