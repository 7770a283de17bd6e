"""Read the syntax tree of a module for `reach.py`: its names, what they use, and a text without layout and remarks."""

import ast
import builtins
import re
from collections.abc import Iterator

# Decorators that register nothing, so that a function under one counts only where it is reached.
HARMLESS = {"cache", "lru_cache", "dataclass", "contextmanager", "total_ordering", "wraps", "no_grad", "inference_mode"}
# With these a function can read or write names that its text does not show.
DYNAMIC = {"globals", "locals", "vars", "eval", "exec", "__import__"}
FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef
BUILTINS = frozenset(dir(builtins))
SCOPES = FUNCTIONS | ast.Lambda | ast.ClassDef | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
BLOCKS = ast.stmt | ast.ExceptHandler | ast.match_case
FILE = re.compile(r"[\w*./-]+\.\w+")


def walk(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and all below it; `ast.walk` takes three times as long."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, list):
                waiting += [each for each in value if isinstance(each, ast.AST)]
            elif isinstance(value, ast.AST) and name != "ctx":
                waiting.append(value)


def strip(tree: ast.Module) -> None:
    """Take out docstrings, and the annotations of functions and of their variables."""
    waiting: list[tuple[ast.AST, bool]] = [(tree, False)]
    while waiting:
        node, inside = waiting.pop()
        if isinstance(node, ast.Module | ast.ClassDef | FUNCTIONS):
            inside = isinstance(node, FUNCTIONS)
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(getattr(first.value, "value", None), str):
                node.body = node.body[1:]
        if isinstance(node, FUNCTIONS):
            node.returns = None
            for each in _parameters(node.args):
                each.annotation = None
        if isinstance(node, ast.AnnAssign) and inside:
            node.annotation = ast.Constant(None)
        waiting += [(child, inside) for child in ast.iter_child_nodes(node) if isinstance(child, BLOCKS)]


def _parameters(given: ast.arguments) -> list[ast.arg]:
    last = [each for each in (given.vararg, given.kwarg) if each]
    return [*given.posonlyargs, *given.args, *given.kwonlyargs, *last]


def guards(node: ast.stmt, name: str) -> bool:
    """Return whether a statement is `if TYPE_CHECKING:` or `if __name__ == ...`."""
    return isinstance(node, ast.If) and name in used(node.test)


def names(node: ast.stmt) -> list[str]:
    """Return the names that a statement at a module's top gives; none if it may do more than that."""
    if isinstance(node, FUNCTIONS | ast.ClassDef):
        plain = all(_decorator(each) in HARMLESS for each in node.decorator_list)
        return [node.name] if plain and not getattr(node, "keywords", None) else []
    targets = node.targets if isinstance(node, ast.Assign) else []
    targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
    found = [part for target in targets for part in (target.elts if isinstance(target, ast.Tuple) else [target])]
    return [part.id for part in found] if all(isinstance(part, ast.Name) for part in found) else []


def given(node: ast.stmt) -> set[str]:
    """Return the names that a statement gives, at any depth."""
    found = {each.id for each in walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
    return found | {each.name for each in walk(node) if isinstance(each, FUNCTIONS | ast.ClassDef)}


def _decorator(node: ast.expr) -> str:
    node = node.func if isinstance(node, ast.Call) else node
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def used(node: ast.AST) -> set[str]:
    return {each.id for each in walk(node) if isinstance(each, ast.Name)}


def strings(node: ast.AST) -> set[str]:
    values = {each.value for each in walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str)}
    return set(filter(FILE.fullmatch, values))


def chains(node: ast.AST, local: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield each name that is used and no variable of its function, with its attributes: `np.linalg.norm`."""
    waiting = [(node, local)]
    while waiting:
        node, local = waiting.pop()
        if isinstance(node, ast.Attribute):
            names, inner = [node.attr], node.value
            while isinstance(inner, ast.Attribute):
                names.append(inner.attr)
                inner = inner.value
            if isinstance(inner, ast.Name):
                if inner.id not in local:
                    written = isinstance(node.ctx, ast.Store | ast.Del)
                    yield inner.id if written else ".".join([inner.id, *reversed(names)])
                continue
        if isinstance(node, ast.Name) and node.id not in local:
            yield node.id
        if isinstance(node, FUNCTIONS | ast.Lambda):
            waiting += [(each, local) for each in _outside(node)]
            local = local | _scope(node)
            waiting += [(each, local) for each in (node.body if isinstance(node.body, list) else [node.body])]
        else:
            waiting += [(each, local) for each in ast.iter_child_nodes(node)]


def _outside(function: ast.AST) -> list[ast.expr]:
    """Return the defaults and decorators of a function, which Python evaluates outside of it."""
    defaults = [*function.args.defaults, *filter(None, function.args.kw_defaults)]
    return defaults + getattr(function, "decorator_list", [])


def _scope(function: ast.AST) -> frozenset[str]:
    """Return the parameters of a function and the variables that its own statements assign."""
    found, outside = {each.arg for each in _parameters(function.args)}, set()
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


def numbers(node: ast.stmt, top: set[str]) -> dict[str, str]:
    """Return numbers for the names of the variables that a function, or those inside it, assigns.

    A parameter keeps its name, which callers use, and so does a variable that shares its name with anything that is not
    a local variable of the function. In a class the functions share their numbers, in the order of their text.
    """
    assigned, others = [], top | BUILTINS
    for each in walk(node):
        if isinstance(each, ast.Name):
            if isinstance(each.ctx, ast.Store):
                assigned.append((each.lineno, each.col_offset, each.id))
            if each.id in DYNAMIC:
                return {}
        elif isinstance(each, ast.ExceptHandler) and each.name:
            assigned.append((each.lineno, each.col_offset, each.name))
        elif isinstance(each, ast.arg):
            others.add(each.arg)
        elif isinstance(each, FUNCTIONS):
            others |= {each.name}.union(*map(used, _outside(each)))
        elif isinstance(each, ast.ClassDef):
            others |= {each.name}.union(*(used(part) for part in each.body if not isinstance(part, FUNCTIONS)))
            others |= {name for part in (*each.bases, *each.decorator_list) for name in used(part)}
        elif isinstance(each, ast.Global | ast.Nonlocal):
            others.update(each.names)
        elif isinstance(each, ast.alias):
            others.add(each.asname or each.name.split(".")[0])
        elif isinstance(each, ast.MatchAs | ast.MatchStar | ast.MatchMapping):
            others.add(getattr(each, "name", None) or getattr(each, "rest", None) or "")
    names = dict.fromkeys(name for _, _, name in sorted(assigned) if name not in others)
    return {name: f"local {number}" for number, name in enumerate(names)} if isinstance(node, SCOPES) else {}


def text(node: ast.AST, names: dict[str, str]) -> str:
    """Return the text of a syntax tree without its layout, with other names for some variables."""
    said: list[str] = []

    def say(value: object) -> None:
        if isinstance(value, ast.AST):
            said.append(f"{type(value).__name__}(")
            renamed = isinstance(value, ast.Name | ast.ExceptHandler)
            for name in value._fields:
                inner = getattr(value, name, None)
                if name != "ctx":
                    say(names.get(inner, inner) if renamed and isinstance(inner, str) else inner)
            said.append(")")
        elif isinstance(value, list):
            said.append("[")
            for each in value:
                say(each)
            said.append("]")
        else:
            said.append(f"{value!r},")

    say(node)
    return "".join(said)
