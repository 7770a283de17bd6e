"""The identity of code: a digest of what a stage would execute, so that Snakemake can tell an edit from a remark.

Snakemake sees neither imported modules nor plug-ins. A rule states this digest as a param: it covers the stage's
script, every module of the package that it imports, and the plug-ins that its config names. Comments, docstrings and
layout are left out, so editing them re-runs nothing.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path

from ballast import plugins
from ballast.files import digest
from ballast.plugins import HOME

SCRIPTS = HOME.parent
# What a model is in a folder that may hold more.
MODEL = (".safetensors", ".json", ".jinja", ".model", ".txt", ".tiktoken")


def code_identity(stage: str, *plugins: str) -> str:
    """Digest of `scripts/<stage>.py`, of plug-ins such as `samplers/sss`, and of all that they import of Ballast."""
    roots = [SCRIPTS / f"{stage}.py", *(HOME / f"{plugin.replace('-', '_')}.py" for plugin in plugins)]
    files, waiting = set(), roots
    while waiting:
        file = waiting.pop()
        if file not in files:
            files.add(file)
            waiting.extend(imports(file))
    parts = sorted(f"{file.relative_to(SCRIPTS).as_posix()} {file_digest(file)}" for file in files)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


@cache
def file_digest(file: Path) -> str:
    """Digest of a file's syntax tree without docstrings; templates and other data beside it are inputs of rules."""
    tree = ast.parse(file.read_bytes())
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            first = body[0]
            if isinstance(first, ast.Expr) and isinstance(getattr(first.value, "value", None), str):
                node.body = body[1:]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


@cache
def imports(file: Path) -> list[Path]:
    """Files of the package that a file imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            found.update(_files([alias.name for alias in node.names]))
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.update(_files([node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]))
    return sorted(found)


def constant(plugin: str, name: str, *absent):
    """The literal value of a plug-in's module constant, read without importing it, or what `absent` holds."""
    found = _constants(plugin)
    if name in found:
        return ast.literal_eval(found[name])
    if absent:
        return absent[0]
    raise KeyError(f"{plugin} has no constant {name}")


@cache
def _constants(plugin: str) -> dict[str, ast.expr]:
    body = ast.parse((HOME / f"{plugin.replace('-', '_')}.py").read_bytes()).body
    return {node.targets[0].id: node.value for node in body if isinstance(node, ast.Assign) and _names_one(node)}


def _names_one(node: ast.Assign) -> bool:
    return len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)


def backend_identity(name: str, model: str, options: dict) -> list:
    """What an answer depends on beside the text and how it is asked: the backend's code and record, the model."""
    code = code_identity(f"ballast/backends/{name.replace('-', '_')}")
    return [name, code, plugins.load("backends", name).record(options), model_identity(model)]


def model_identity(folder: str | Path) -> str:
    """Digest of a model's files; of a source's manifest in their place, which holds their digests."""
    manifest = Path(folder) / "source.json"
    files = [manifest] if manifest.is_file() else sorted(Path(folder).glob("*"))
    parts = [f"{file.name} {digest(file)}" for file in files if file.suffix in MODEL]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _files(modules: list[str]) -> list[Path]:
    paths = [SCRIPTS / module.replace(".", "/") for module in modules if module.split(".")[0] == HOME.name]
    files = [path.with_suffix(".py") for path in paths] + [path / "__init__.py" for path in paths]
    return [file for file in files if file.is_file()]
