"""The command `ballast measure`: write the config that measures models, run it, and decide by limits."""

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

from ballast import cli
from ballast.files import BallastError, read_json, write_text
from ballast.plugins import HOME
from ballast.study import config, secret

# Exit codes: every limit is kept, one is broken, or the prompts are too few to say.
CODES = {"within": 0, "beyond": 1, "not decidable": 2}
CONFIG = HOME.parents[1] / "config"
HEAD = """# Written by `ballast measure`; to run it again with: snakemake measure --configfile {path}
"""


def write(
    name: str,
    before: str,
    after: list[str],
    targets: str | None = None,
    key_env: str | None = None,
    suite: str = "paper",
    pool: str | None = None,
    runs: bool = False,
    folder: str | Path = "config",
) -> Path:
    """Write <folder>/<name>.yaml and return its path; an equal file may be there.

    before, after: a folder of a model or of a PEFT adapter, an id on the hub, `URL#MODEL` of an OpenAI-compatible
    server, or a file of responses. targets: `harm=20,over_refusal=20`. suite: benchmarks, judges and metrics,
    a name in config/suites/.
    pool: safety examples, a file or `owner/name:file` on the hub, to say which of them to add.
    runs: the models after are runs of one fine-tuning.
    """
    cli.check_name(name)
    config.suite(suite)
    path, sources = Path(folder) / f"{name}.yaml", {}
    names = ["before", *(f"after-{number}" if len(after) > 1 else "after" for number in range(1, len(after) + 1))]
    over = before if (Path(before) / "config.json").is_file() else None
    models = {
        key: _model(given, key, sources, key_env, over) for key, given in zip(names, [before, *after], strict=True)
    }
    study = {
        "extends": os.path.relpath(CONFIG / "standard.yaml", path.parent),
        "study": name,
        "suite": suite,
        "models": models,
        "measure": {"before": names[0], "after": names[1:]} | ({"runs": True} if runs else {}),
    }
    if pool:  # labels as in own.yaml
        study |= {
            "pools": {"own": cli.entry("pool", pool, sources)},
            "labels": {"behaviour": "refusal-string", "category": "cossim"},
        }
        study |= {"references": {"source": "beavertails"}, "embedding": {"model": "minilm"}}
        study |= {"judges": {"refusal-string": {}}}
    study |= {"targets": _targets(targets)} if targets else {}
    study |= {"sources": sources} if sources else {}
    text = HEAD.format(path=path) + yaml.safe_dump(study, sort_keys=False, allow_unicode=True, width=120)
    if path.exists() and path.read_text() != text:
        raise BallastError(f"{path} is there already, and measures something else; give another --name, or remove it")
    write_text(path, text)
    return path


def run(files: list[str | Path], name: str, arguments: list[str]) -> int:
    """Run the workflow on config files, each laid over those before it, and print the page.

    Returns the exit code: 0 within, 1 beyond, 2 not decidable, 3 failed.
    """
    program = Path(sys.executable).with_name("snakemake")
    if subprocess.run([program, "measure", "--configfile", *files, *arguments]).returncode:
        return cli.FAILED
    folder = Path("results") / name
    found = json.loads((folder / "measure.json").read_text())
    print((folder / "measure.md").read_text())
    print(f"{folder}/measure.md, measure.json, explore.html\n{found['said']}")
    return CODES[found["verdict"]]


def _model(given: str, key: str, sources: dict, key_env: str | None, over: str | None) -> dict:
    """Return the entry of `models` of a model by what a person gives.

    `over`: a model's folder, for an adapter whose base is not here.
    """
    label = {"label": given.rstrip("/").rpartition("/")[2] or given}
    if given.startswith(("http://", "https://")):
        url, _, model = given.partition("#")
        secret.refuse([given, key_env], f"the model {key}")
        if not model:
            raise BallastError(f"{given}: add the model's name there, as in {url}#gpt-4o")
        own = {"key_env": key_env} if key_env else {}
        return {"endpoint": {"url": url, "model": model} | own, "label": model}
    there = Path(given)
    if (there / "adapter_config.json").is_file():
        base = read_json(there / "adapter_config.json").get("base_model_name_or_path")
        if not Path(base or "").is_dir() or not base:
            if not over and not base:
                raise BallastError(f"{given}: its adapter_config.json names no base model (base_model_name_or_path)")
            if over:
                print(f"{given}: its base '{base}' is no folder here; it is laid over {over}", file=sys.stderr)
            base = over or base
        return _place(base, key, sources) | {"adapter": given} | label
    if there.is_file():
        return {"responses": given} | label
    return _place(given, key, sources) | label


def _place(given: str, key: str, sources: dict) -> dict:
    """Return the place of a model, and how it is prompted: by its own chat template if it has one."""
    there = Path(given)
    if there.is_dir():
        return {"path": given, "prompt": "chat" if _chats(there) else "alpaca"}
    if not cli.HUB.fullmatch(given):
        raise BallastError(f"{given}: no folder of a model or adapter, no file, no id of the hub (owner/name), no URL")
    known = next((name for name, entry in sources.items() if entry["hub"] == given), f"my-{key}")
    sources.setdefault(known, cli.hub_source(given, "model"))
    return {"source": known, "prompt": "chat"}


def _chats(folder: Path) -> bool:
    config = folder / "tokenizer_config.json"
    return (folder / "chat_template.jinja").is_file() or config.is_file() and "chat_template" in read_json(config)


def _targets(given: str) -> dict[str, float]:
    try:
        return {name.strip(): float(value) for name, value in (part.split("=") for part in given.split(","))}
    except ValueError:
        raise BallastError(f"--targets {given}: give limits such as harm=20,over_refusal=20") from None
