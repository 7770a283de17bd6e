"""Identify code by a digest of what a stage executes, so that Snakemake reruns jobs after edits of their code.

Snakemake sees neither imported modules nor plug-ins. A rule passes this digest as a param: it covers what the stage's
script can reach (`reach.py`) and the plug-ins that its config names. It ignores comments, docstrings, layout and the
names of local variables, so editing them reruns nothing.
"""

import ast
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from ballast import plugins
from ballast.files import BallastError, digest
from ballast.model_files import model_files
from ballast.plugins import HOME
from ballast.reach import Code

SCRIPTS = HOME.parent
READS = ("taxonomy", "clustered")  # functions of `categories` that give a study's own
CODES: dict[tuple, Code] = {}  # by the state of their files
KNOWN: dict[tuple, tuple[dict[str, str], set[str]]] = {}  # what is reached, by that state
# Stages that know categories by their ids alone.
COUNT = ("sample", "filter", "train", "warm_up", "gradients", "logprobs")


def code_identity(stage: str, *named: str, taxonomy=None) -> str:
    """Return a digest of all that `scripts/<stage>.py` and plug-ins such as `samplers/sss` can reach, and their names.

    The names let a job compute it again: `0123456789abcdef:samplers/sss`. `taxonomy`: the study's own categories
    (`categories.Taxonomy`), which replace a constant of the code. Stages that only count categories do not depend on
    their words.
    """
    return digest_of(code_parts(stage, *named, taxonomy=taxonomy), named)


def digest_of(parts: dict[str, str], named: Sequence[str]) -> str:
    """Return the identity of the parts of a stage's code and the plug-ins that it names."""
    text = "\n".join(f"{name} {digest}" for name, digest in sorted(parts.items()))
    return ":".join([hashlib.sha256(text.encode()).hexdigest()[:16], *named])


def code_parts(stage: str, *named: str, taxonomy=None) -> dict[str, str]:
    """Return the digest of each part of what a stage reaches, by file and name.

    The threads of a job count for every stage, though `stage.py` sets them.
    """
    found = dict(reached(stage, *named)[0])
    if stage in COUNT:
        found.pop("ballast/categories.py: DEFINITIONS", None)
    # Studies with different categories share a made world, which knows the 14 alone.
    if taxonomy and not stage.startswith("world_") and any(f"ballast/categories.py: {name}" in found for name in READS):
        found["taxonomy"] = str(len(taxonomy.names) if stage in COUNT else taxonomy)
    return found


def reached(stage: str, *named: str) -> tuple[dict[str, str], set[str]]:
    """Return the digests of what a stage and some plug-ins reach, and the libraries that they import."""
    whole = [f"{HOME.name}/{plugin.replace('-', '_')}.py" for plugin in (*named, "running/threads")]
    code = Code(SCRIPTS, HOME.name)
    code = CODES.setdefault(code.stamp, code)
    if (key := (code.stamp, stage, named)) not in KNOWN:
        KNOWN[key] = code.reach(f"{stage}.py", whole)
    return KNOWN[key]


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
