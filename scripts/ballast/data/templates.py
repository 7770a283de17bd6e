"""Turn prompt templates as their authors publish them into the JSON that `prompts.py` reads.

Other people wrote the templates, so they are fetched at run time, never committed (protocol section 16). Three shapes
are known: a string literal of a Python module, taken from its syntax tree without running the module; JSON with
`template`; and Alpaca's JSON, which passes through. A pair's fields are WildGuard's `{prompt}` and `{response}`
(allenai/wildguard `wildguard/utils.py`) or MD-Judge's two `%s` (adwardlee/SALAD `saladbench/template.py`).
"""

import ast
import hashlib
import re
from pathlib import Path

from ballast.files import BallastError, read_json, read_text
from ballast.plugins import nearest

VARIANTS = ("domain-card",)
FIELDS = ("{prompt}", "{response}")
# The same in HarmBench's `eval_utils.py` and in StrongREJECT's `judge_templates.json`.
OTHERS = (("{behavior}", "{generation}"), ("{forbidden_prompt}", "{response}"))
INST = ("[INST] ", " [/INST]")  # MD_Prompter.generate puts these around the stripped text

_PERCENT = re.compile(r"%(.?)", re.DOTALL)
_CATEGORIES = "<BEGIN UNSAFE CONTENT CATEGORIES>\n"
_CONVERSATION_END = "<END CONVERSATION>\n\n"


def read(path: str | Path, literal: str | None = None, variant: str | None = None) -> dict[str, str]:
    """Return a fetched file's template in our shape: `{"template": ...}`, or Alpaca's object unchanged."""
    raw = _json(path)
    if raw and "prompt_no_input" in raw:
        if variant:
            raise BallastError(f"{path}: an Alpaca-shaped template has no variant '{variant}'; remove it")
        return raw
    return {"template": to_fields(own_text(path, literal, variant), str(path))}


def own_text(path: str | Path, literal: str | None = None, variant: str | None = None) -> str:
    """Return a template's own text, before its fields become ours; `digest` is computed on it.

    `literal` names the string of a module, `NAME.key` that of a dictionary in it, or a key of JSON. `variant` is
    "domain-card" for the model card's form of MD-Judge's domain template.
    """
    raw = _json(path)
    if raw is None:
        text = _literal(path, literal)
    # A copy of a module's template is JSON with `template`.
    elif isinstance(raw.get(literal), str) or isinstance(raw.get("template"), str):
        text = raw[literal] if isinstance(raw.get(literal), str) else raw["template"]
    else:
        raise BallastError(f"{path}: no 'template' and no 'prompt_no_input' here; this is no prompt template")
    if variant is None:
        return text
    if variant not in VARIANTS:
        raise BallastError(f"{path}: no template variant is called '{variant}'{nearest(variant, list(VARIANTS))}")
    return _domain_card(text, path)


def digest(template_text: str) -> str:
    """Return `sha256:` and the digest of a template's own text in UTF-8."""
    return f"sha256:{hashlib.sha256(template_text.encode()).hexdigest()}"


def to_fields(text: str, path: str) -> str:
    """Return a template's own text with `{prompt}` and then `{response}`, once each; other braces stay unchanged."""
    for fields in OTHERS:
        if [text.count(field) for field in fields] == [1, 1]:
            text = text.replace(fields[0], FIELDS[0]).replace(fields[1], FIELDS[1])
    if [text.count(field) for field in FIELDS] != [1, 1]:
        text = _from_percent(text, path)
    if text.index(FIELDS[0]) > text.index(FIELDS[1]):
        raise BallastError(f"{path}: in the template {FIELDS[0]} must come before {FIELDS[1]}")
    return text


def _from_percent(text: str, path: str) -> str:
    """Convert MD-Judge's form: `%s` twice, `%%` for a percent sign; then strip and wrap as MD_Prompter does."""
    kinds = [match[1] for match in _PERCENT.finditer(text)]
    if kinds.count("s") != 2 or set(kinds) - {"s", "%"} or any(field in text for field in FIELDS):
        raise BallastError(f"{path}: the template holds neither {FIELDS[0]} and {FIELDS[1]} nor two %s, once each")
    fields = iter(FIELDS)
    filled = _PERCENT.sub(lambda match: next(fields) if match[1] == "s" else "%", text)
    return INST[0] + filled.strip() + INST[1]


def _domain_card(text: str, path: str | Path) -> str:
    """Return the form of MD-Judge-v0.1's model card: its closing request and two rules also open the categories block.

    Public copies agree with each other and with a stored page of the card (protocol section 2).
    """
    if text.count(_CATEGORIES) != 1 or text.count(_CONVERSATION_END) != 1:
        raise BallastError(f"{path}: not MD-Judge's domain template, so it has no variant 'domain-card'")
    rules = text.split(_CONVERSATION_END)[1]
    return text.replace(_CATEGORIES, _CATEGORIES + rules)


def _json(path: str | Path) -> dict | None:
    """Return the object in a .json file, None for a .py module."""
    suffix = Path(path).suffix
    if suffix == ".py":
        return None
    raw = read_json(path) if suffix == ".json" else None
    if not isinstance(raw, dict):
        raise BallastError(f"{path}: a template is a .json object or a literal of a .py module; this is neither")
    return raw


def _literal(path: str | Path, name: str | None) -> str:
    """Return the string that a module assigns to `name` at its top level; the module is parsed, never run."""
    try:
        tree = ast.parse(read_text(path))
    except (SyntaxError, ValueError) as error:
        raise BallastError(f"{path}: not a Python module ({error})") from None
    assigned = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)
    }
    bound = [bound for node in ast.walk(tree) for bound in _bound(node)]
    # A name bound twice may hold anything when it is used.
    known = {key: value for key, value in assigned.items() if bound.count(key) == 1}
    if name is None:
        raise BallastError(f"{path}: say which literal of the module is the template{nearest('', sorted(known))}")
    name, _, key = name.partition(".")
    if name not in assigned:
        raise BallastError(f"{path}: no literal '{name}'{nearest(name, sorted(known))}")
    if key and isinstance(value := known.get(name), ast.Dict):
        entries = {part.value: entry for part, entry in zip(value.keys, value.values, strict=True) if _text(part)}
        known = {name: entries[key]} if key in entries else {}
    text = _evaluate(name, known)
    if text is None:
        raise BallastError(
            f"{path}: '{name}' is no plain string, and no f-string over plain strings of the module; "
            "read the file, and pin one whose template can be taken out without running it"
        )
    return text


def _text(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _bound(node: ast.AST) -> list[str]:
    """Return the names that a node of a syntax tree binds or deletes."""
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            return [name]
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            return [(alias.asname or alias.name).split(".")[0] for alias in names]
    return []


def _evaluate(name: str, known: dict[str, ast.expr], above: int | None = None) -> str | None:
    """Return the text of a name, None if it is no literal; it must be bound above the line `above`."""
    value = known.get(name)
    if value is None or (above is not None and value.lineno >= above):
        return None
    if isinstance(value, ast.Constant):
        return value.value if isinstance(value.value, str) else None
    if not isinstance(value, ast.JoinedStr):
        return None
    parts = [
        part.value if isinstance(part, ast.Constant) else _field(part, known, value.lineno) for part in value.values
    ]
    return None if None in parts else "".join(parts)


def _field(part: ast.FormattedValue, known: dict[str, ast.expr], line: int) -> str | None:
    """Return the text of `{NAME}` or `{NAME.strip()}` in an f-string; None with a conversion or format."""
    if part.conversion != -1 or part.format_spec is not None:
        return None
    match part.value:
        case ast.Name(id=name):
            return _evaluate(name, known, line)
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="strip"), args=[], keywords=[]):
            text = _evaluate(name, known, line)
            return text if text is None else text.strip()
    return None
