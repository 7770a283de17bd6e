"""Find the code that a program can reach: its functions, classes and constants, and those of the modules it imports.

Names decide. A function that is reached reaches each name of its own module, and of a module that it imports, that it
contains. Where names do not decide, all of a module counts: a module that is passed on, `from x import *`, `globals()`,
a name that no statement at the module's top gives. Each imported module's other statements at the top count too.
Docstrings, annotations of functions and the names of local variables do not count (`docs/reliability.md`).
"""

import ast
import builtins
import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cache, cached_property
from pathlib import Path

TOP = ""  # the part of a module that runs whenever it is imported
OWN = "*own"  # all parts of a module, without those that it imports by name
ALL = "*"
FILE = re.compile(r"[\w*./-]+\.\w+")
# Decorators that register nothing, so that a function under one counts only where it is reached.
HARMLESS = {"cache", "lru_cache", "dataclass", "contextmanager", "total_ordering", "wraps", "no_grad", "inference_mode"}
# With these a function can read or write names that its text does not show.
DYNAMIC = {"globals", "locals", "vars", "eval", "exec", "__import__"}
FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef
SCOPES = FUNCTIONS | ast.Lambda | ast.ClassDef | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
NOT_DATA = (".py", ".pyc", ".pyi")


@dataclass
class Part:
    """A function, a class or a constant: its text, what it uses, and the libraries that it imports.

    A use is a name of this module, or a dotted one: `package.module.name`. `files` are names and patterns of files.
    `imported`: it is only the name of an import.
    """

    text: str = ""
    uses: set[str] = field(default_factory=set)
    imports: set[str] = field(default_factory=set)
    libraries: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)
    imported: bool = False

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


class Code:
    """All code below a folder of programs; `package` is the name of the folder that they import from."""

    def __init__(self, folder: Path, package: str):
        self.folder, self.package = folder, package
        found = [Path(place, name) for place, _, names in os.walk(folder / package) for name in names]
        self.data = sorted(file for file in found if file.suffix not in NOT_DATA)
        self.modules = {self._dotted(file): file for file in found if file.suffix == ".py"}

    def reach(self, program: Path, whole: list[Path]) -> tuple[dict[str, str], set[str]]:
        """Return the digest of each part that a program and some whole modules reach, and the libraries they import.

        A part is named `file: name`, and a data file by its path.
        """
        own = program.relative_to(self.folder).parts[0] == self.package
        waiting = [(program, OWN if own else TOP), *((file, OWN) for file in whole)]
        seen, modules, digests, libraries = set(), {}, {}, set()
        while waiting:
            file, name = step = waiting.pop()
            if step in seen:
                continue
            seen.add(step)
            if file not in modules:
                place = file.relative_to(self.folder)
                modules[file] = module(place.as_posix(), file.read_bytes(), self.package, file == program)
                waiting += [(file, TOP), *((above, TOP) for above in self._above(file))]
            parts = modules[file]
            if name not in parts:
                waiting += [(file, each) for each in parts if name != OWN or not parts[each].imported]
                continue
            part = parts[name]
            digests[f"{file.relative_to(self.folder).as_posix()}: {name}"] = part.digest
            libraries |= part.libraries
            waiting += [(file, each) for each in part.uses if each in parts or each == ALL]
            waiting += [found for each in part.uses | part.imports for found in self._resolve(each, each in part.uses)]
            for data in self._data(part.files):
                digests[data.relative_to(self.folder).as_posix()] = hashlib.sha256(data.read_bytes()).hexdigest()
        return digests, libraries

    def _resolve(self, dotted: str, used: bool) -> Iterator[tuple[Path, str]]:
        """Yield what a dotted name of the package means; a module that is merely imported runs its top alone."""
        names = dotted.split(".")
        if names[0] != self.package:
            return
        for end in range(len(names), 0, -1):
            file = self.modules.get(tuple(names[:end]))
            if file:
                rest = names[end] if end < len(names) else ALL
                hidden = rest.startswith("__") and rest.endswith("__")
                yield file, rest if used and not hidden else TOP
                return

    def _above(self, file: Path) -> Iterator[Path]:
        """Yield the packages that Python imports before a module."""
        names = file.relative_to(self.folder).parts[:-1]
        above = (self.modules.get(names[:end]) for end in range(1, len(names) + 1))
        yield from (each for each in above if each and each != file)

    def _dotted(self, file: Path) -> tuple[str, ...]:
        names = file.relative_to(self.folder).with_suffix("").parts
        return names[:-1] if names[-1] == "__init__" else names

    def _data(self, named: set[str]) -> list[Path]:
        """Return the data files of some names, or of patterns such as `*.json`."""
        return [file for file in self.data if any(fnmatch(file.name, name.rpartition("/")[2]) for name in named)]


@cache
def module(place: str, content: bytes, package: str, program: bool) -> dict[str, Part]:
    """Return the parts of a module by name; `place` is its file, `program` says that it is run, not imported."""
    return _Module(ast.parse(content, place), tuple(place.split("/")), package, program).parts


class _Module:
    def __init__(self, tree: ast.Module, place: tuple[str, ...], package: str, program: bool):
        self.place, self.package = place, package
        tree = _Bare().visit(tree)
        statements: dict[str, list[ast.stmt]] = {TOP: []}
        self.bound: dict[str, set[str]] = {}  # name -> what imports at the top mean by it
        for node in tree.body:
            if _guards(node, "TYPE_CHECKING") or (_guards(node, "__name__") and not program):
                continue
            if isinstance(node, ast.Import | ast.ImportFrom):
                for name, meant in self.imported(node):
                    self.bound.setdefault(name, set()).add(meant)
                continue
            for name in _names(node) or [TOP]:
                statements.setdefault(name, []).append(node)
        for node in statements[TOP]:
            for each in _imports(node):
                for name, meant in self.imported(each):
                    self.bound.setdefault(name, set()).add(meant)
        inside = {name for node in statements[TOP] for name in _given(node)}  # names of the statements that always run
        self.top = {*statements, *self.bound, *inside} - {TOP}
        self.parts = dict.fromkeys(inside, Part()) | {name: self.part(nodes) for name, nodes in statements.items()}
        for name, meant in self.bound.items():
            if name != ALL:
                self.parts[name] = self.binding(meant, self.parts.get(name))
        self._finish(tree, statements)

    def _finish(self, tree: ast.Module, statements: dict[str, list[ast.stmt]]) -> None:
        """Add to the top what an import of this module runs: the modules it imports, and libraries that it only runs."""
        top = self.parts[TOP]
        top.imports |= {meant for meanings in self.bound.values() for meant in meanings}
        named = _used(tree)
        for name, meanings in self.bound.items():
            if name == ALL or name not in named:
                top.text += f"\n{sorted(meanings)}" if not all(map(self.is_own, meanings)) else ""
            if name == ALL:
                top.uses |= meanings

    def is_own(self, meant: str) -> bool:
        return meant.split(".")[0] == self.package

    def imported(self, node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str]]:
        """Yield each name that an import gives, and the dotted name that it means."""
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.asname or alias.name.split(".")[0], alias.name if alias.asname else alias.name.split(".")[0]
                if not alias.asname and "." in alias.name:
                    yield f"{alias.name} ", alias.name  # no name of Python's: it is imported, and nothing can use it
            return
        above = self.place[: -node.level] if node.level else ()
        place = ".".join([*above, *([node.module] if node.module else [])])
        for alias in node.names:
            if alias.name == ALL:
                yield ALL, place
            else:
                yield alias.asname or alias.name, f"{place}.{alias.name}"

    def binding(self, meant: set[str], other: Part | None) -> Part:
        """Return the part of a name that an import gives; its text says from where."""
        part = other or Part(imported=True)
        part.text += f"\n{sorted(meant)}"
        part.uses |= meant
        part.libraries |= {each.split(".")[0] for each in meant}
        return part

    def part(self, nodes: list[ast.stmt]) -> Part:
        part = Part()
        local: dict[str, set[str]] = {}
        for node in nodes:
            for each in _imports(node):
                for name, meant in self.imported(each):
                    local.setdefault(name, set()).add(meant)
                    part.imports.add(meant)
                    part.libraries.add(meant.split(".")[0])
        if ALL in local:
            part.uses |= local[ALL]
        for node in nodes:
            for chain in _chains(node):
                head, _, rest = chain.partition(".")
                if head in DYNAMIC:
                    part.uses.add(ALL)
                # A from-import at the top gives the longer name, so that `module.name` reaches that name alone.
                meanings = local.get(head, set()) | (self.bound.get(head, set()) if head in self.top else set())
                part.uses |= {f"{meant}.{rest}" if rest else meant for meant in meanings}
                if meanings and not all(map(self.is_own, meanings)) or head in self.top and head not in self.bound:
                    part.uses.add(head)
            strings = {each.value for each in ast.walk(node) if isinstance(each, ast.Constant)}
            strings = {text for text in strings if isinstance(text, str)}
            part.files |= set(filter(FILE.fullmatch, strings))
            part.uses |= {text for text in strings if text.startswith(f"{self.package}.")}
        part.text = "\n".join(ast.dump(_Renamed(self.top).visit(node)) for node in nodes)
        return part


def _guards(node: ast.stmt, name: str) -> bool:
    """Return whether a statement is `if TYPE_CHECKING:` or `if __name__ == ...`."""
    return isinstance(node, ast.If) and name in _used(node.test)


def _names(node: ast.stmt) -> list[str]:
    """Return the names that a statement at a module's top gives; none if it may do more than that."""
    if isinstance(node, FUNCTIONS | ast.ClassDef):
        plain = all(_decorator(each) in HARMLESS for each in node.decorator_list)
        return [node.name] if plain and not getattr(node, "keywords", None) else []
    targets = node.targets if isinstance(node, ast.Assign) else []
    targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
    found = [part for target in targets for part in (target.elts if isinstance(target, ast.Tuple) else [target])]
    return [part.id for part in found] if all(isinstance(part, ast.Name) for part in found) else []


def _given(node: ast.stmt) -> set[str]:
    """Return the names that a statement gives, at any depth."""
    found = {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
    return found | {each.name for each in ast.walk(node) if isinstance(each, FUNCTIONS | ast.ClassDef)}


def _decorator(node: ast.expr) -> str:
    node = node.func if isinstance(node, ast.Call) else node
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _imports(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    return (each for each in ast.walk(node) if isinstance(each, ast.Import | ast.ImportFrom))


def _chains(node: ast.AST, local: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield each name that is used and no variable of its function, with the attributes read of it: `np.linalg.norm`."""
    if isinstance(node, FUNCTIONS | ast.Lambda):
        given = [*node.args.defaults, *filter(None, node.args.kw_defaults), *getattr(node, "decorator_list", [])]
        inside = local | _scope(node)
        body = node.body if isinstance(node.body, list) else [node.body]
        children = [(part, local) for part in given] + [(part, inside) for part in body]
    else:
        children = [(child, local) for child in ast.iter_child_nodes(node)]
    if isinstance(node, ast.Attribute):
        parts, inner = [], node
        while isinstance(inner, ast.Attribute):
            parts, inner = [inner.attr, *parts], inner.value
        if isinstance(inner, ast.Name):
            children = []
            if inner.id not in local:
                yield inner.id if isinstance(node.ctx, ast.Store | ast.Del) else ".".join([inner.id, *parts])
    if isinstance(node, ast.Name) and node.id not in local:
        yield node.id
    for child, known in children:
        yield from _chains(child, known)


def _scope(function: ast.AST) -> frozenset[str]:
    """Return the parameters of a function and the variables that its own statements assign."""
    given = function.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]
    found, outside = {each.arg for each in named}, set()
    waiting = function.body[:] if isinstance(function.body, list) else []
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Global):
            outside.update(node.names)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        if not isinstance(node, SCOPES):
            waiting += ast.iter_child_nodes(node)
    return frozenset(found - outside)


class _Bare(ast.NodeTransformer):
    """Take out docstrings, and the annotations of functions and of their variables."""

    def __init__(self):
        self.inside = [False]  # of a function

    def generic_visit(self, node: ast.AST) -> ast.AST:
        body = getattr(node, "body", None)
        if isinstance(node, ast.Module | ast.ClassDef | FUNCTIONS) and body:
            first = body[0]
            if isinstance(first, ast.Expr) and isinstance(getattr(first.value, "value", None), str):
                node.body = body[1:]
        scope = isinstance(node, FUNCTIONS | ast.ClassDef)
        self.inside += [isinstance(node, FUNCTIONS)] if scope else []
        if isinstance(node, FUNCTIONS):
            node.returns = None
        if isinstance(node, ast.arg):
            node.annotation = None
        super().generic_visit(node)
        if scope:
            self.inside.pop()
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if self.inside[-1]:
            node.annotation = ast.Constant(None)
        return self.generic_visit(node)


class _Renamed(ast.NodeTransformer):
    """Give the local variables of each outermost function numbers for names.

    A parameter keeps its name, which callers use, and so does a variable that shares its name with anything that is not
    a local variable of the function.
    """

    def __init__(self, top: set[str]):
        self.kept = top | set(dir(builtins))
        self.numbers: dict[str, str] | None = None

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        if self.numbers is not None:
            return self.generic_visit(node)
        self.numbers = {name: f"local {number}" for number, name in enumerate(_locals(node, self.kept))}
        renamed = self.generic_visit(node)
        self.numbers = None
        return renamed

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = (self.numbers or {}).get(node.id, node.id)
        return node

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        node.name = (self.numbers or {}).get(node.name, node.name)
        return self.generic_visit(node)


def _used(node: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


def _locals(function: ast.AST, kept: set[str]) -> list[str]:
    """Return the names of variables that a function and the functions inside it assign, in the order of the text."""
    assigned, others = [], set(kept)
    for node in ast.walk(function):
        if isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Store):
                assigned.append(node.id)
            if node.id in DYNAMIC:
                return []
        elif isinstance(node, ast.ExceptHandler):
            assigned += [node.name] if node.name else []
        elif isinstance(node, ast.arg):
            others.add(node.arg)
        elif isinstance(node, FUNCTIONS):
            outside = [*node.args.defaults, *filter(None, node.args.kw_defaults), *node.decorator_list]
            others |= {node.name, *(each for part in outside for each in _used(part))}
        elif isinstance(node, ast.ClassDef):
            others |= {node.name, *_used(node)}
        elif isinstance(node, ast.Global | ast.Nonlocal):
            others.update(node.names)
        elif isinstance(node, ast.alias):
            others.add(node.asname or node.name.split(".")[0])
        elif isinstance(node, ast.MatchAs | ast.MatchStar):
            others.add(node.name or "")
        elif isinstance(node, ast.MatchMapping):
            others.add(node.rest or "")
    return [name for name in dict.fromkeys(assigned) if name not in others]
