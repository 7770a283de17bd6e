"""Write config/README.md and config/schema.json from ballast/study/config.py: `python scripts/config_docs.py`."""

import json
from pathlib import Path
from typing import Any

from pydantic_core import PydanticUndefined

from ballast import plugins
from ballast.files import write_text
from ballast.study.config import Section, Study
from ballast.study.methods import KINDS, plugin_constant
from ballast.study.mistakes import section_class

CONFIG = Path(__file__).parents[1] / "config"
WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false", Any: "value"}
HEAD = """# Every key of a config

`python scripts/config_docs.py` generates this page from `scripts/ballast/study/config.py`; a test compares the two.

A study is one YAML file in this folder. `config.yaml` is the default, and extends `mini.yaml`; `snakemake
--configfile config/<study>.yaml` chooses another. A file that begins with `extends: mini.yaml` holds only the
differences; there `null` removes a named entry, as in `judges: {harm-rm: null}`. A key that stands twice is a
mistake. Ballast fetches, inspects and checks only the datasets, models and judges that runs, labels and measured
metrics use. Editors with support for `schema.json` complete the keys. A mistake stops before any job, in one line
that names the key and the nearest valid word. The keys of a section are below its heading; `<name>` is a name of your
choice.
"""


def schema() -> str:
    """Return the JSON schema; add `extends`, which is resolved before the types are checked."""
    described = Study.model_json_schema()
    described["properties"]["extends"] = {"type": "string", "description": "The config file that this one extends."}
    described.pop("required")  # a file that extends another may leave anything out
    return json.dumps(described, indent=1, sort_keys=True) + "\n"


def reference() -> str:
    """Return the Markdown page: a table of keys for each section, then the options of the methods' plug-ins."""
    return "\n".join([HEAD, *_tables(Study, ""), *_plugin_options()])


def _plugin_options() -> list[str]:
    declared = [
        (kind, plugin + form, name, option)
        for kind in KINDS
        for plugin in plugins.names(f"{kind}s")
        for constant, form in (("OPTIONS", ""), ("AMONG", "-b"))
        for name, option in (plugin_constant(kind, plugin, constant, {}) or {}).items()
    ]
    rows = [
        f"| {kind} | `{plugin}` | `{name}` | {_choices(default)} | {sentence} |"
        for kind, plugin, name, (default, sentence) in declared
    ]
    intro = (
        "`methods.<name>.options` holds options of the method's plug-ins; the default of a choice is its first word. "
        "Options of `pss-b` and the like are those of every sampler among one behaviour, such as `pss-t2`."
    )
    head = ["| kind | plug-in | option | default | what it does |", "|---|---|---|---|---|"]
    return ["## Options of plug-ins", "", intro, "", *head, *rows, ""]


def _choices(default) -> str:
    return ", ".join(f"`{json.dumps(one)}`" for one in (default if isinstance(default, tuple) else [default]))


def _tables(section: type[Section], place: str) -> list[str]:
    doc = (section.__doc__ or "").split("\n")[0]
    title = f"## `{place}`" if place else "## Top level"
    lines = [
        title,
        "",
        *([doc, ""] if place and doc else []),
        "| key | type | default | what it does |",
        "|---|---|---|---|",
    ]
    inner = []
    for name, field in section.model_fields.items():
        kind = section_class(field.annotation)
        many = str(field.annotation).startswith("dict") and kind is not None
        word = "text or " if "[word]" in str(field.annotation) else ""
        shown = f"{word}section" if kind else _type(field.annotation)
        lines.append(f"| `{name}` | {shown} | {_default(field, kind)} | {field.description or ''} |")
        if kind:
            inner.append((kind, f"{place}.{name}".lstrip(".") + (".<name>" if many else "")))
    lines.append("")
    seen = []
    for kind, where in inner:
        if kind in [other for other, _ in seen]:
            continue  # the four experiments and the four metrics have one shape each
        seen.append((kind, where))
        lines += _tables(kind, where)
    return lines


def _type(annotation) -> str:
    arguments = getattr(annotation, "__args__", ())
    origin = getattr(annotation, "__origin__", None)
    if str(annotation).startswith("typing.Literal"):
        return ", ".join(f"`{choice}`" for choice in arguments)
    if origin is list:
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return f"{_type(arguments[0])} to {_type(arguments[1])}"
    if hasattr(annotation, "__metadata__"):
        return _type(annotation.__origin__)
    if arguments and (origin is None or "Union" in str(origin)):
        return " or ".join(_type(one) for one in arguments if one is not type(None))
    return WORDS[annotation]


def _default(field, kind) -> str:
    if field.is_required():
        return "required"
    if field.default is PydanticUndefined or kind and not isinstance(field.default, str):
        return ""
    if field.default is None:
        return "none"
    return f"`{json.dumps(field.default)}`"


if __name__ == "__main__":
    write_text(CONFIG / "schema.json", schema())
    write_text(CONFIG / "README.md", reference())
