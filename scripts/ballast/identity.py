"""Identify code by a digest of what a stage executes, so that Snakemake reruns jobs after edits of their code.

Snakemake sees neither imported modules nor plug-ins. A rule passes this digest as a param: it covers the stage's
script, every module of the package that it imports, and the plug-ins that its config names. It ignores comments,
docstrings and layout, so editing them reruns nothing.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path

from ballast import plugins
from ballast.files import BallastError, digest
from ballast.model_files import model_files
from ballast.plugins import HOME

SCRIPTS = HOME.parent
# Stages that know categories by their ids alone.
COUNT = ("sample", "filter", "train", "warm_up", "gradients", "logprobs")


def code_identity(stage: str, *plugins: str, taxonomy=None) -> str:
    """Return a digest of `scripts/<stage>.py`, plug-ins such as `samplers/sss`, and all Ballast modules they import.

    The threads of a job count for every stage, though `stage.py` sets them. `taxonomy`: the study's own categories
    (`categories.Taxonomy`), which replace a constant of the code. Stages that only count categories do not depend on
    their words.
    """
    named = [f"{plugin.replace('-', '_')}.py" for plugin in (*plugins, "running/threads")]
    roots = [SCRIPTS / f"{stage}.py", *(HOME / name for name in named)]
    files, waiting = set(), roots
    while waiting:
        file = waiting.pop()
        if file not in files:
            files.add(file)
            waiting.extend(imports(file))
    parts = sorted(f"{file.relative_to(SCRIPTS).as_posix()} {file_digest(file)}" for file in files)
    # Studies with different categories share a made world, which knows the 14 alone.
    if taxonomy and HOME / "categories.py" in files and not stage.startswith("world_"):
        parts.append(str(len(taxonomy.names) if stage in COUNT else taxonomy))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def file_digest(file: Path) -> str:
    """Return the digest of a file's syntax tree without docstrings; templates and other data are inputs of rules."""
    return _parsed(file)[0]


def imports(file: Path) -> list[Path]:
    """Return the package's files that a file imports, at its top or inside a function."""
    return _parsed(file)[1]


@cache
def _parsed(file: Path) -> tuple[str, list[Path]]:
    tree, found = ast.parse(file.read_bytes()), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(_files([alias.name for alias in node.names]))
        elif isinstance(node, ast.ImportFrom):
            module = _imported_from(file, node)
            found.update(_files([module, *(f"{module}.{alias.name}" for alias in node.names)]))
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            first = body[0]
            if isinstance(first, ast.Expr) and isinstance(getattr(first.value, "value", None), str):
                node.body = body[1:]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), sorted(found)


def _imported_from(file: Path, node: ast.ImportFrom) -> str:
    """Return the whole name of the module that `from .x import y` in a file means."""
    parts = file.relative_to(SCRIPTS).with_suffix("").parts[: -node.level] if node.level else ()
    return ".".join([*parts, *([node.module] if node.module else [])])


def constant(plugin: str, name: str, *absent):
    """Return a plug-in's module constant, a literal, without importing the plug-in; `absent`: its default.

    Raises BallastError if the file is not Python, lacks the constant, or computes its value.
    """
    found = _outline(plugin)[0]
    if name not in found and absent:
        return absent[0]
    if name not in found:
        raise BallastError(f"{file_of(plugin)}: it has no constant {name}; write one")
    try:
        return ast.literal_eval(found[name])
    except (ValueError, TypeError):
        message = f"{name} must be written out, it is read without running the file"
        raise BallastError(f"{file_of(plugin)}: {message}") from None


def defined(plugin: str) -> set[str]:
    """Return the names of a plug-in's functions and constants, without importing it."""
    constants, functions = _outline(plugin)
    return {*constants, *functions}


def file_of(plugin: str) -> str:
    """Return a plug-in's file as messages name it."""
    return f"scripts/ballast/{plugin.replace('-', '_')}.py"


@cache
def _outline(plugin: str) -> tuple[dict[str, ast.expr], set[str]]:
    """Return a plug-in's module constants and the names of its functions."""
    try:
        body = ast.parse((HOME / f"{plugin.replace('-', '_')}.py").read_bytes()).body
    except SyntaxError as error:
        raise BallastError(f"{file_of(plugin)}: line {error.lineno}: {error.msg}") from None
    constants = {node.targets[0].id: node.value for node in body if isinstance(node, ast.Assign) and _names_one(node)}
    return constants, {node.name for node in body if isinstance(node, ast.FunctionDef)}


def _names_one(node: ast.Assign) -> bool:
    return len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)


def backend_identity(name: str, model: str, options: dict) -> list:
    """Return what answers depend on besides text and prompt: the backend's name, code and record, and the model."""
    code = code_identity(f"ballast/backends/{name.replace('-', '_')}")
    return [name, code, plugins.load("backends", name).record(options), model_identity(model)]


def model_identity(folder: str | Path) -> str:
    """Return a digest of a model's files, or of a source's manifest, which holds their digests."""
    manifest = Path(folder) / "source.json"
    files = [manifest] if manifest.is_file() else model_files(folder)
    parts = [f"{file.relative_to(folder).as_posix()} {digest(file)}" for file in files]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _files(modules: list[str]) -> list[Path]:
    paths = [SCRIPTS / module.replace(".", "/") for module in modules if module.split(".")[0] == HOME.name]
    files = [path.with_suffix(".py") for path in paths] + [path / "__init__.py" for path in paths]
    return [file for file in files if file.is_file()]
