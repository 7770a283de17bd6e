"""Parse one YAML file of a study; a mistake is one line that names file, line and key.

Snakemake parses a config too, but keeps the last of two equal keys and says nothing.
"""

from pathlib import Path

import yaml

from ballast import limits
from ballast.files import BallastError, read_text

MERGE = "tag:yaml.org,2002:merge"
DEEP = f"nested deeper than {limits.DEPTH} levels, or an anchor holds itself; write it flat"
LONG = "a whole number of too many digits; correct it, or put quotes around it"
DATE = "tag:yaml.org,2002:timestamp"
NO_TEXT = {f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float")}
LONGEST_NUMBER = 40


class _Loader(yaml.SafeLoader):
    """Refuse a key that stands twice; leave a date as text."""

    # No key of a config is a date, but a name or a revision can look like one.
    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != DATE]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    # Here no `<<` is merged yet: a key that overrides a merged one stands once.
    def compose_mapping_node(self, anchor):
        node, lines = super().compose_mapping_node(anchor), {}
        for key, _ in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in lines and key.tag != MERGE:
                raise BallastError(f"line {line}: '{name}' is there already, in line {lines[name]}; keep one")
            lines[name] = line
        return node


def parse(path: str | Path) -> dict:
    """Return the keys and values of a YAML or JSON file."""
    text = read_text(path)
    # JSON may be indented by tabs.
    text = text.expandtabs() if Path(path).suffix == ".json" else text
    try:
        raw = yaml.load(text, Loader=_Loader)
    except BallastError as error:
        raise BallastError(f"{path}: {error}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        said = getattr(error, "problem", None) or str(error).splitlines()[0]
        where = f"line {mark.line + 1}: " if mark else ""
        raise BallastError(f"{path}: {where}not valid YAML ({said})") from None
    except RecursionError:
        raise BallastError(f"{path}: {DEEP}") from None
    except (ValueError, OverflowError) as error:
        said = LONG if "digits" in str(error) else f"not valid YAML ({error})"
        raise BallastError(f"{path}: {said}") from None
    if not isinstance(checked(raw, path), dict):
        given = "nothing" if raw is None else f"{raw!r:.40}"
        raise BallastError(f"{path}: a config is a mapping of keys to values; here is {given}")
    return raw


def typed(value):
    """Return a value of `--config` with its numbers, null, true and false; Snakemake reads nested ones as text."""
    if isinstance(value, dict):
        return {key: typed(part) for key, part in value.items()}
    if isinstance(value, list):
        return [typed(part) for part in value]
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_NUMBER:
        return value
    tag = _Loader("").resolve(yaml.ScalarNode, value, (True, False))
    return yaml.load(value, Loader=_Loader) if tag in NO_TEXT else value


def checked(raw, path: str | Path):
    """Return a parsed config; raise BallastError if it is circular, deep, or holds what no file can hold."""
    waiting, seen = [(raw, 0)], 0
    while waiting:
        value, depth = waiting.pop()
        seen += 1
        if depth > limits.DEPTH:
            raise BallastError(f"{path}: {DEEP}")
        if seen > limits.ENTRIES:
            raise BallastError(f"{path}: over {limits.ENTRIES:,} entries; a config lists sources, not rows")
        if isinstance(value, int) and value.bit_length() > limits.BITS:
            raise BallastError(f"{path}: {LONG}")
        if isinstance(value, str) and any("\ud800" <= sign <= "\udfff" for sign in value):
            raise BallastError(f"{path}: {value[:40]!a} holds half a character; mend it or remove it")
        inner = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
        waiting += [(one, depth + 1) for one in inner]
    return raw
