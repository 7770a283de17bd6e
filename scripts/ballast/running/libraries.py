"""Say which libraries can change what a stage makes, and where the ones that made results are no longer installed.

The libraries of a stage are those that its code can reach (`reach.py`), and those that they work through. A difference
re-runs nothing: `docs/reliability.md` has the policy.
"""

import importlib.metadata
import platform
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from ballast.files import BallastError, read_json
from ballast.identity import SCRIPTS, reached
from ballast.plugins import HOME

TEXT = ("jinja2", "tokenizers", "transformers")
MODELS = ("accelerate", "numpy", "safetensors", "torch", *TEXT)
# A library that Ballast imports: the packages whose release can then change results.
COUNT = {
    "gguf": ("gguf",),
    "jinja2": ("jinja2",),
    "matplotlib": ("matplotlib",),
    "numpy": ("numpy",),
    "pandas": ("numpy", "pandas"),
    "peft": ("peft", *MODELS),
    "py3langid": ("py3langid",),
    "pyarrow": ("pyarrow",),
    "safetensors": ("safetensors",),
    "scipy": ("numpy", "scipy"),
    "sentence_transformers": ("sentence-transformers", *MODELS),
    "sklearn": ("numpy", "scikit-learn", "scipy"),
    "statsmodels": ("numpy", "scipy", "statsmodels"),
    "tokenizers": ("tokenizers",),
    "torch": ("numpy", "torch"),
    "transformers": MODELS,
    "vllm": ("vllm", *MODELS),
}


@cache
def versions() -> dict[str, str]:
    """Return the versions of Python and of the installed libraries whose release can change bytes."""
    packages = sorted({package for counted in COUNT.values() for package in counted})
    found = {package: _installed(package) for package in packages}
    return {"python": platform.python_version()} | {package: version for package, version in found.items() if version}


@cache
def counting(stage: str, code: str) -> set[str]:
    """Return the packages that can change what a stage makes; `code` is an identity, which names its plug-ins."""
    imported = reached(stage, *code.split(":")[1:])[1]
    return {package for library in imported for package in COUNT.get(library, ())}


@cache
def own() -> str:
    """Return the version of Ballast: CHANGELOG.md names what each changes in results."""
    text = (HOME.parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)["project"]["version"]


@cache
def _installed(package: str) -> str | None:
    with suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(package)
    return None


def differences(rows: Iterable[dict]) -> list[str]:
    """Return a line for each library whose installed version is not the one that made artefacts: of which rules."""
    made: dict[tuple[str, str], Counter] = {}
    for row in rows:
        rule, found = row["rule"], row["versions"]
        for package in counting(rule, row["code"]) & found.keys():
            if found[package] != _installed(package):
                made.setdefault((package, found[package]), Counter())[rule] += 1
    return [_line(package, version, rules) for (package, version), rules in sorted(made.items())]


def _line(package: str, version: str, rules: Counter) -> str:
    named = ", ".join(f"{number} of {rule}" for rule, number in sorted(rules.items()))
    return f"{package} {version} made {named}; installed: {_installed(package) or 'none'}"


def advice(folders: list[str]) -> list[str]:
    """Return, for people, which artefacts of some `results/...` folders other versions of libraries made; else none."""
    lines = differences(_rows(folders))
    if not lines:
        return []
    return [
        "Other versions of libraries made these artefacts. They may give other bits, but nothing re-runs for that:",
        *(f"  {line}" for line in lines),
        "  `snakemake --forcerun RULE...` makes them again; docs/reliability.md says which libraries count where.",
    ]


def _rows(folders: list[str]) -> Iterator[dict]:
    """Yield the whole rows of the manifests whose stage still exists; `verify` names the torn ones."""
    for folder in folders:
        for path in sorted(Path(folder, "manifest").rglob("*.json")):
            with suppress(BallastError):
                row = read_json(path)
                whole = isinstance(row, dict) and {"rule", "code", "versions"} <= row.keys()
                if whole and (SCRIPTS / f"{row['rule']}.py").is_file():
                    yield row
