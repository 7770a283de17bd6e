"""The command `ballast`: `ballast init my-study` writes the config of your own study.

python -m ballast init NAME [--base FILE|owner/name] [--pool FILE|owner/name] [--model DIR|owner/name] [--n 50,100]
                            [--cpu] [--folder config]
python -m ballast push results/my-study/runs/... --to owner/name
python -m ballast references results/one-task results/another-task
"""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from ballast.files import BallastError, read_text, write_text
from ballast.model_files import MODEL
from ballast.plugins import HOME
from ballast.study.places import LONGEST, NAME
from ballast.study.sources import unfit

OWN = Path("config/own.yaml")
# This checkout's template; an installed Ballast takes that of the checkout in which it runs.
TEMPLATE = next((path for path in (HOME.parents[1] / OWN, OWN) if path.is_file()), OWN)
HUB = re.compile(r"[\w.-]+/[\w.-]+(:.+)?")
DATA = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".jsonl.gz", ".json.gz", ".csv.gz")
# Weights and configs, by pattern; a model's other files (tokenizer, chat template) are named.
PATTERNS = ("*.safetensors", "*.json")

FAILED = 3  # what `measure` returns if it has no verdict

LOCAL_MODEL = "mine: {path: models/mine, prompt: chat}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; on a mistake print one line to stderr and return 1."""
    parser = argparse.ArgumentParser(
        prog="ballast", description="Choose a few safety examples to add to fine-tuning data."
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    start = commands.add_parser("init", help="write config/NAME.yaml, a study of your own")
    start.add_argument("name", help="the study's name: lower-case letters, digits and hyphens")
    start.add_argument("--base", metavar="FILE|HUB-ID", help="what you fine-tune on")
    start.add_argument("--pool", metavar="FILE|HUB-ID", help="the safety examples to choose from")
    start.add_argument("--model", metavar="DIR|HUB-ID", help="the model that you fine-tune")
    start.add_argument("--n", metavar="50,100", help="how many examples to add")
    start.add_argument("--cpu", action="store_true", help="a study of a small model that ends in about an hour")
    start.add_argument("--folder", default="config", help="where the config goes (default: config)")
    start.set_defaults(run=_init)
    compare = commands.add_parser("measure", help="compare models before and after a fine-tuning")
    kinds = "folder of a model or adapter, hub id, URL#MODEL of a server, or file of responses"
    compare.add_argument("--before", required=True, metavar="MODEL", help=kinds)
    compare.add_argument("--after", required=True, action="append", metavar="MODEL", help="the same; may be repeated")
    compare.add_argument("--name", default="my-model", help="the study's name (default: my-model)")
    compare.add_argument("--targets", metavar="harm=20,over_refusal=20", help="limits that decide the exit code")
    compare.add_argument("--key-env", metavar="NAME", help="environment variable with the server's key")
    compare.add_argument("--suite", default="paper", help="paper, today-gpu, today-cpu or rules (default: paper)")
    compare.add_argument("--runs", action="store_true", help="the models after are runs of one fine-tuning")
    compare.add_argument("--pool", metavar="FILE", help="safety examples, to say which of them to add")
    compare.add_argument(
        "--configfile", action="append", default=[], metavar="FILE", help="laid over the config; may be repeated"
    )
    compare.add_argument("--write", action="store_true", help="only write the config")
    compare.add_argument("--folder", default="config", help="where the config goes (default: config)")
    compare.add_argument("snakemake", nargs="*", metavar="-- ARGUMENTS", help="for Snakemake, such as --profile slurm")
    compare.set_defaults(run=_measure)
    publish = commands.add_parser("push", help="upload an adapter, a subset or a study's results to the hub, private")
    publish.add_argument("path", metavar="PATH", help="folder of a run or an exported subset, or results/NAME")
    publish.add_argument(
        "--to", required=True, metavar="OWNER/NAME", help="repository of the hub; push makes a new one"
    )
    publish.add_argument("--public", action="store_true", help="all may read a new repository (default: private)")
    publish.add_argument("--ids-only", action="store_true", help="a subset's ids, labels and picture without its rows")
    publish.add_argument(
        "--licence-checked", action="store_true", help="you have read the licence that Ballast does not know"
    )
    publish.add_argument("--texts-checked", action="store_true", help="push rows that may answer a harmful request too")
    publish.add_argument("--dry-run", action="store_true", help="show the files; upload nothing")
    publish.add_argument("--token", action=_NoToken, help=argparse.SUPPRESS)
    publish.set_defaults(run=_push)
    chosen = commands.add_parser("references", help="compare the references that dualselect chose for two tasks")
    chosen.add_argument(
        "results", nargs=2, metavar="RESULTS", help="results/NAME of a study; its base data are the task"
    )
    chosen.set_defaults(run=_references)
    run = None
    try:
        given = parser.parse_args(arguments)
        run = given.run
        return run(given) or 0
    except BallastError as error:
        print(f"ballast: {error}", file=sys.stderr)
        return FAILED if run is _measure else 1


class _NoToken(argparse.Action):
    """Refuse a token among the arguments, where every process of the machine can read it, and do not repeat it."""

    def __call__(self, parser, namespace, values, option_string=None):
        raise BallastError("a token has no place on a command line; set HF_TOKEN, or run `hf auth login`")


def _push(given: argparse.Namespace) -> None:
    try:
        from ballast.push import command, parts
    except ModuleNotFoundError as error:
        raise BallastError(f"push needs the package {error.name}; install ballast-safety[study]") from None

    consent = parts.Consent(given.ids_only, given.licence_checked, given.texts_checked)
    command.run(given.path, given.to, consent, given.public, given.dry_run)


def _references(given: argparse.Namespace) -> None:
    from ballast.results import references

    print(references.report(*given.results))


def _init(given: argparse.Namespace) -> None:
    path = init(given.name, given.folder, base=given.base, pool=given.pool, model=given.model, n=given.n, cpu=given.cpu)
    print(f"{path} is written; check your files, then pick:")
    for said in filter(None, (unfit(one) for one in (given.base, given.pool, given.model) if one)):
        print(f"ballast: {said}", file=sys.stderr)
    for target in ("inspect", "subsets"):
        print(f"  snakemake {target} --configfile {path}")


def _measure(given: argparse.Namespace) -> int:
    from ballast.running import measure_command

    path = measure_command.write(
        given.name,
        given.before,
        given.after,
        given.targets,
        given.key_env,
        given.suite,
        given.pool,
        given.runs,
        given.folder,
    )
    print(f"{path} is written", file=sys.stderr)
    return 0 if given.write else measure_command.run([path, *given.configfile], given.name, given.snakemake)


def init(
    name: str,
    folder: str | Path = "config",
    base: str | None = None,
    pool: str | None = None,
    model: str | None = None,
    n: str | None = None,
    cpu: bool = False,
) -> Path:
    """Write <folder>/<name>.yaml from the template and return its path; never overwrite a file.

    base, pool, model: a path, or an id on the hub, `owner/name` or `owner/name:file`, whose newest revision is pinned.
    cpu: extend cpu.yaml, whose rows, lengths and judges fit a small model on a CPU, and add fewer examples.
    Raises BallastError if a name, a number or a hub id is wrong.
    """
    path = Path(folder) / f"{name}.yaml"
    check_name(name)
    if path.exists():
        raise BallastError(f"{path} is there already; choose another name, or remove it")
    if not TEMPLATE.is_file():
        raise BallastError(f"{TEMPLATE}: no such file here; a study needs a checkout of Ballast, so run this in one")
    parent = os.path.relpath(TEMPLATE.with_name("cpu.yaml" if cpu else "standard.yaml"), path.parent)
    sources, text = {}, read_text(TEMPLATE)
    text = _put(text, "study: own", f"study: {name}").replace("my-study", name)
    text = _put(text, "extends: standard.yaml", _flow({"extends": parent})[1:-1])
    if cpu:
        text = _put(text, "this needs GPUs", "about an hour of CPU time")
        text = _put(
            text, "benchmarks, judges and hyper-parameters of the publication", "rows, benchmarks and judges for a CPU"
        )
        text = _put(text, "mine: {source: qwen2.5-7b-instruct, prompt: chat}", LOCAL_MODEL)
        text = _put(text, "{source: beavertails-330k}", "{source: beavertails}   # the 30k subset embeds faster")
    if n or cpu:
        text = _put(text, "n: [50, 100, 250]", f"n: {_numbers(n or '20,40,80')}")
    # Last, since a path may hold any words.
    for key, given, line in (
        ("model", model, LOCAL_MODEL if cpu else "mine: {source: qwen2.5-7b-instruct, prompt: chat}"),
        ("pool", pool, "own: {path: data/pool.jsonl, licence: unknown}"),
        ("base", base, "base: {path: data/base.jsonl}"),
    ):
        if given:
            text = _put(text, line, _place(key, given, sources))
    if sources:
        text += yaml.safe_dump({"sources": sources}, sort_keys=False, allow_unicode=True, width=120)
    write_text(path, text)
    return path


def check_name(name: str) -> None:
    """Raise BallastError if a study cannot have this name."""
    if len(name) > LONGEST or not re.fullmatch(NAME.strip("^$"), name):
        raise BallastError(
            f"{name!r:.60} is no study's name: give lower-case letters, digits and hyphens, at most {LONGEST}"
        )
    if name == "worlds":
        raise BallastError("results/worlds/ holds the worlds that studies share; give the study another name")


def _put(text: str, old: str, new: str) -> str:
    if old not in text:
        raise BallastError(f"{TEMPLATE}: the line '{old}' is no longer there; take the file of this version of Ballast")
    return text.replace(old, new, 1)


def _place(key: str, given: str, sources: dict) -> str:
    """Return the template's line for what a person gives."""
    start = {"base": "base", "pool": "own", "model": "mine"}[key]
    return f"{start}: {_flow(entry(key, given, sources))}"


def entry(key: str, given: str, sources: dict) -> dict:
    """Return the entry of a base, pool or model: a local file or folder, or a hub id, which it adds to `sources`."""
    kept = {"pool": {"licence": "unknown"}, "model": {"prompt": "chat"}}.get(key, {})
    if Path(given).exists() or not HUB.fullmatch(given) or given.endswith(DATA) and ":" not in given:
        if not Path(given).exists():
            raise BallastError(f"{given}: no such file, and no id of the hub (owner/name)")
        if not given.isprintable() and (said := unfit(given)):
            raise BallastError(said)
        return {"path": given} | kept
    name = f"my-{key}"
    sources[name] = hub_source(given, key)
    return {"source": name} | (kept if key == "model" else {})


def _flow(entry: dict) -> str:
    """Return an entry on one line of YAML; a path's own marks are quoted."""
    said = yaml.safe_dump(entry, default_flow_style=True, sort_keys=False, allow_unicode=True, width=sys.maxsize)
    return said.strip()


def hub_source(given: str, key: str) -> dict:
    """Return the entry of `sources` for a hub id, pinned to its newest revision."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    name, _, file = given.partition(":")
    kind = "model" if key == "model" else "dataset"
    try:
        found = HfApi().repo_info(name, repo_type=kind, revision="main")
    except RepositoryNotFoundError:
        raise BallastError(f"the hub shows no {kind} {name}; correct the id, or set HF_TOKEN") from None
    except Exception as error:  # also errors of the HTTP client, which the hub's library passes on
        raise BallastError(
            f"{name}: the hub could not be asked ({type(error).__name__}); go online, or give a copy here"
        ) from None
    licence = getattr(getattr(found, "card_data", None), "license", None) or "unknown"
    names = [sibling.rfilename for sibling in found.siblings]
    files = dict.fromkeys(_model_files(names) if kind == "model" else [_data_file(name, names, file)], "unknown")
    entry = {"kind": kind, "hub": name, "revision": found.sha, "files": files, "licence": str(licence)}
    return entry | {"used_for": {"base": "base data", "pool": "the pool", "model": "the model that is fine-tuned"}[key]}


def _model_files(names: list[str]) -> list[str]:
    """Return the files of a model among those of its repository."""
    others = [name for name in sorted(names) if "/" not in name and name.endswith(MODEL)]
    return [*PATTERNS, *(name for name in others if not name.endswith((".safetensors", ".json")))]


def _data_file(hub: str, names: list[str], file: str) -> str:
    """Return a dataset's file: the named one, else the only one, else the only one of its training split."""
    data = sorted(name for name in names if name.endswith(DATA))
    if file in data:
        return file
    few = data if len(data) == 1 else [name for name in data if "train" in name]
    if file or len(few) != 1:
        said = f"no data file {file}" if file else "several data files" if data else "no data file"
        raise BallastError(f"{hub} has {said}; give {hub}:FILE of {', '.join(data[:10]) or ', '.join(names)}")
    return few[0]


def _numbers(given: str) -> list[int]:
    try:
        numbers = [int(number) for number in given.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1:
        raise BallastError(f"--n {given}: give whole numbers with commas between, such as 50,100")
    return numbers
