"""Parse one YAML file of a study; a mistake is one line that names file, line and key.

Snakemake parses a config too, but keeps the last of two equal keys and says nothing.
"""

from pathlib import Path

import yaml

from ballast.files import BallastError, read_text

MERGE = "tag:yaml.org,2002:merge"
DATE = "tag:yaml.org,2002:timestamp"


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
    except (RecursionError, ValueError, OverflowError) as error:
        raise BallastError(f"{path}: not valid YAML ({error})") from None
    if not isinstance(raw, dict):
        given = "nothing" if raw is None else f"{raw!r:.40}"
        raise BallastError(f"{path}: a config is a mapping of keys to values; here is {given}")
    return raw
