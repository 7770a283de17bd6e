"""Find the code that a program can reach: its functions, classes and constants, and those of the modules it imports.

Names decide. A function that is reached reaches each name of its own module, and of a module that it imports, that it
contains. Where names do not decide, all of a module counts: a module that is passed on, `from x import *`, `globals()`,
a name that no statement at the module's top gives. Each imported module's other statements at the top count too.
Docstrings, annotations of functions and the names of local variables do not count (`docs/reliability.md`), nor do
modules that only write into logs or a cache, and those that read the code.
"""

import ast
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

from ballast import kept, syntax

TOP = ""  # the part of a module that runs whenever it is imported
OWN = "*own"  # all parts of a module, without those that it imports by name
ALL = "*"
NOT_DATA = (".py", ".pyc", ".pyi")
# No result depends on logs and caches; whatever these files change in an identity shows in that identity.
NO_RESULT = ("progress.py", "kept.py", "reach.py", "syntax.py")


@dataclass
class Part:
    """A function, a class or a constant: its text's digest and what it uses: names of its module, or dotted ones.

    `imports` are what its own statements import, `loads` what the module does, `strings` may be names of files.
    """

    digest: str = ""
    uses: set[str] = field(default_factory=set)
    imports: set[str] = field(default_factory=set)
    loads: set[str] = field(default_factory=set)
    strings: set[str] = field(default_factory=set)


@dataclass
class Module:
    """The parts of a module by name. `imported` holds the names that imports at its top give."""

    parts: dict[str, Part]
    imported: set[str]


class Code:
    """All code below a folder of programs; `package` is the name of the folder that they import from.

    Files are named from the folder. `stamp` differs whenever one was written.
    """

    def __init__(self, folder: Path, package: str):
        self.folder, self.package = str(folder), package
        found = sorted(self._found(self.folder))
        own = [file for file in found if file.startswith(f"{package}/")]
        self.data = [file for file in own if not file.endswith(NOT_DATA)]
        self.modules = {_dotted(file): file for file in own if file.endswith(".py")}
        self.stamp = (self.folder, *((file, *_stamp(f"{self.folder}/{file}")) for file in found))

    def _found(self, folder: str) -> Iterator[str]:
        for entry in os.scandir(folder):
            if entry.is_dir() and entry.name != "__pycache__":
                yield from self._found(entry.path)
            elif entry.is_file():
                yield entry.path[len(self.folder) + 1 :]

    def reach(self, program: str, whole: list[str]) -> tuple[dict[str, str], set[str]]:
        """Return the digest of each part that a program and some whole modules reach, and the libraries they import.

        A part is named `file: name`, and a data file by its path.
        """
        own = program.startswith(f"{self.package}/")
        waiting = [(program, OWN if own else TOP), *((file, OWN) for file in whole)]
        seen, modules, digests, libraries = set(), {}, {}, set()
        while waiting:
            file, name = step = waiting.pop()
            if step in seen or file.removeprefix(f"{self.package}/") in NO_RESULT:
                continue
            seen.add(step)
            if file not in modules:
                modules[file] = module(file, self._bytes(file), self.package, file == program)
                waiting += [(file, TOP), *((above, TOP) for above in self._above(file))]
            parts = modules[file].parts
            if name not in parts:
                waiting += [(file, each) for each in parts if name != OWN or each not in modules[file].imported]
                continue
            part = parts[name]
            digests[f"{file}: {name}"] = part.digest
            libraries |= {each.split(".")[0] for each in part.imports}
            waiting += [(file, each) for each in part.uses if each in parts or each == ALL]
            waiting += [found for each in part.uses for found in self._resolve(each, True)]
            waiting += [found for each in part.imports | part.loads for found in self._resolve(each, False)]
            for data in self._data(part.strings) if part.strings else ():
                digests[data] = hashlib.sha256(self._bytes(data)).hexdigest()
        return digests, libraries

    def _bytes(self, file: str) -> bytes:
        with open(f"{self.folder}/{file}", "rb") as opened:
            return opened.read()

    def _resolve(self, dotted: str, used: bool) -> Iterator[tuple[str, str]]:
        """Yield what a dotted name of the package means; a module that is merely imported runs its top alone."""
        if not dotted.startswith(self.package):
            return
        names = tuple(dotted.split("."))
        for end in range(len(names), 0, -1):
            if file := self.modules.get(names[:end]):
                rest = names[end] if end < len(names) else ALL
                hidden = rest.startswith("__") and rest.endswith("__")
                yield file, rest if used and not hidden else TOP
                return

    def _above(self, file: str) -> list[str]:
        """Return the packages that Python imports before a module."""
        names = tuple(file.split("/")[:-1])
        above = [self.modules.get(names[:end]) for end in range(1, len(names) + 1)]
        return [each for each in above if each and each != file]

    def _data(self, named: set[str]) -> list[str]:
        """Return the data files of some names, or of patterns such as `*.json`."""
        patterns = [name.rpartition("/")[2] for name in named]
        return [file for file in self.data if any(fnmatch(file.rpartition("/")[2], each) for each in patterns)]


def _dotted(file: str) -> tuple[str, ...]:
    return tuple(file.removesuffix(".py").removesuffix("/__init__").split("/"))


def _stamp(file: str) -> tuple[int, ...]:
    """Return what changes whenever a file is written, also where its time stamp is set back."""
    try:
        state = os.stat(file)
    except FileNotFoundError:  # an editor's own file, or one that is being replaced
        return ()
    return state.st_mtime_ns, state.st_ctime_ns, state.st_size, state.st_ino


@cache
def module(place: str, content: bytes, package: str, program: bool) -> Module:
    """Return the parts of a module; `place` is its file, `program` says that it is run, not imported.

    They are kept between processes: to read all modules takes longer than most plans.
    """
    key = kept.key(place, content, package, program)
    if (found := kept.read(key)) is None:
        found = _Reader(ast.parse(content, place), tuple(place.split("/")), package, program).found()
        kept.write(key, found)
    parts = {name: Part(each[0], *map(set, each[1:])) for name, each in found["parts"].items()}
    return Module(parts, set(found["imported"]))


class _Reader:
    """Reads the syntax tree of a module once."""

    def __init__(self, tree: ast.Module, place: tuple[str, ...], package: str, program: bool):
        self.place, self.package = place, package
        syntax.strip(tree)
        self.statements: dict[str, list[ast.stmt]] = {TOP: []}
        self.bound: dict[str, set[str]] = {}  # name -> what imports at the top mean by it
        for node in tree.body:
            if syntax.guards(node, "TYPE_CHECKING") or (syntax.guards(node, "__name__") and not program):
                continue
            if isinstance(node, ast.Import | ast.ImportFrom):
                self._bind(node, self.bound)
                continue
            for name in syntax.names(node) or [TOP]:
                self.statements.setdefault(name, []).append(node)
        for node in self.statements[TOP]:
            for name in syntax.given(node):  # it always runs, under any of its names
                self.statements.setdefault(name, [])
            self._bind(node, self.bound)
        self.everywhere = self.bound.pop(ALL, set())
        self.names = {*self.statements, *self.bound}
        named = syntax.used(tree)
        self.unread = sorted(name for name in self.bound if name not in named)

    def found(self) -> dict:
        """Return `Module` as JSON holds it; a part is a list of its fields."""
        parts = {name: self._part(name) for name in sorted(self.names)}
        return {"parts": parts, "imported": sorted(self.bound.keys() - self.statements.keys())}

    def _part(self, name: str) -> list:
        nodes = self.statements.get(name, [])
        local: dict[str, set[str]] = {}
        strings: set[str] = set()
        for node in nodes:
            self._bind(node, local)
            strings |= syntax.strings(node)
        uses = local.pop(ALL, set()) | {text for text in strings if text.startswith(f"{self.package}.")}
        for node in nodes:
            for chain in syntax.chains(node):
                uses |= self._meant(chain, local)
        numbers = [(node, syntax.numbers(node, self.names)) for node in nodes]
        text = "\n".join(syntax.text(node, known) for node, known in numbers)
        imports, loads = {meant for meanings in local.values() for meant in meanings}, set()
        if meant := self.bound.get(name):
            text += f"\n{sorted(meant)}"
            uses |= meant
            imports |= meant
        if name == TOP:  # an import of this module imports all these, and libraries that it never names
            text += "\n".join(str(sorted(self.bound[each])) for each in self.unread if not self._own(each))
            uses |= self.everywhere
            loads = {meant for meanings in self.bound.values() for meant in meanings}
        return [hashlib.sha256(text.encode()).hexdigest(), *map(sorted, (uses, imports, loads, strings))]

    def _meant(self, chain: str, local: dict[str, set[str]]) -> set[str]:
        """Return what a name with its attributes means: a name of this module, or dotted ones of others."""
        head, _, rest = chain.partition(".")
        if head in syntax.DYNAMIC:
            return {ALL}
        meanings = local.get(head, set()) | self.bound.get(head, set())
        # `module.name` reaches that name alone, so the name of a module of the package is no use of the whole module.
        whole = head in self.statements or head in self.bound and not self._own(head)
        return {f"{meant}.{rest}" if rest else meant for meant in meanings} | ({head} if whole else set())

    def _own(self, name: str) -> bool:
        return all(meant.split(".")[0] == self.package for meant in self.bound[name])

    def _bind(self, node: ast.AST, names: dict[str, set[str]]) -> None:
        """Add the names that imports at any depth give, and the dotted names that they mean."""
        for each in syntax.walk(node):
            if isinstance(each, ast.Import):
                for alias in each.names:
                    first = alias.name.split(".")[0]
                    names.setdefault(alias.asname or first, set()).add(alias.name if alias.asname else first)
                    if not alias.asname and alias.name != first:
                        names.setdefault(f"{alias.name} ", set()).add(alias.name)  # it is imported under no name
            elif isinstance(each, ast.ImportFrom):
                above = self.place[: -each.level] if each.level else ()
                place = ".".join([*above, *([each.module] if each.module else [])])
                for alias in each.names:
                    meant = place if alias.name == ALL else f"{place}.{alias.name}"
                    names.setdefault(alias.asname or alias.name, set()).add(meant)
