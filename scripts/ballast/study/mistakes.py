"""Explain a mistake in a config in one line."""

import re

from pydantic import BaseModel

from ballast import plugins
from ballast.study.places import NAME

_NAMES = (
    "names become folders and words of commands, so they hold small letters, digits, '-', '_' and single dots inside, "
    "and begin with a letter or digit"
)
_WANTED = {
    "string_type": "wanted text; put quotes around it (YAML reads yes, no, on and off as true and false)",
    "list_type": "wanted a list, such as [a, b]",
    "dict_type": "wanted keys with values below it",
    "model_type": "wanted keys with values below it",
}
# Keys whose value may be a secret by mistake.
_HIDDEN = {"url", "key_env"}
# Keys of former versions, and their successors.
_RENAMED = {"load_in_8bit": "write 'quantize: int8' in place of true, and leave it out in place of false"}


def explained(error: dict, study: type[BaseModel]) -> str:
    """Return pydantic's account of a mistake in the sections of `study` as one line: the key, and what it wants."""
    # A part in brackets is pydantic's word for a key or for one of several types.
    place = ".".join(shown(part) for part in error["loc"] if not re.fullmatch(r"\[[a-z ]+\]", str(part)))
    if error["type"] == "extra_forbidden":
        if error["loc"][-1] in _RENAMED:
            return f"config: '{place}' is no key any more: {_RENAMED[error['loc'][-1]]}"
        section = _section(study, error["loc"][:-1])
        known = list(section.model_fields) if section else []
        return f"config: '{place}' is not a key{plugins.nearest(str(error['loc'][-1]), known)}"
    if error["type"] == "missing":
        return f"config: '{place}' is required"
    if error.get("ctx", {}).get("pattern") == NAME:
        error = error | {"msg": _NAMES}
    message = _WANTED.get(error["type"], error["msg"].removeprefix("Value error, "))
    hidden = isinstance(error["input"], dict) or _HIDDEN & {*error["loc"][-1:]}
    got = "" if hidden else f", got {error['input']!r:.60}"
    return f"config: {place + ': ' if place else ''}{message[0].lower() + message[1:]}{got}"


def shown(part: str | int) -> str:
    """Return a key in one short line, whatever it holds."""
    return (str(part) if str(part).isprintable() else repr(part))[:60]


def _section(section: type[BaseModel] | None, place: tuple) -> type[BaseModel] | None:
    """Return the section's class at a place of the config, through optional and dict-valued fields."""
    for part in place:
        field = section.model_fields.get(part) if section else None
        if field is None:
            continue  # the key of a dict-valued field: its class was found one step before
        section = section_class(field.annotation)
    return section


def section_class(annotation) -> type[BaseModel] | None:
    """Return the section in a field's type: itself, optional, or a mapping's values; None for a plain value."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = section_class(argument)
        if found:
            return found
    return None
