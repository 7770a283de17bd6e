"""Name the files that make a model, and refuse a folder that names code. Planning imports it, so it loads nothing."""

import os
from collections.abc import Iterator
from pathlib import Path

from ballast.files import BallastError, read_json

# Endings of a model's files, here alone: weights, configs, tokenizer, chat templates. Its folder may hold others.
MODEL = (".safetensors", ".json", ".jinja", ".model", ".txt", ".tiktoken", ".codes", ".tokenizer")
# Folders inside it that hold other forms of the model.
OTHER_FORMS = (".", "original", "onnx", "checkpoint-")
# A class by its module's name may only come from these libraries.
KNOWN = dict.fromkeys(("type", "types", "tokenizer_class"), "sentence_transformers.") | {
    "activation_function": "torch."
}
KERNELS = ("attn_implementation", "_attn_implementation", "experts_implementation", "_experts_implementation")


def model_files(folder: str | Path, endings: tuple[str, ...] = MODEL) -> list[Path]:
    """Return the files with these endings that make a model, sorted: those in its folder and at any depth below."""
    root = Path(folder)
    found = [file for file in _below(root) if file.suffix in endings and file.is_file()]
    return sorted(file for file in found if not file.relative_to(root).parts[0].startswith(OTHER_FORMS))


def _below(root: Path) -> Iterator[Path]:
    """Yield the paths of all files below a folder, through links too; hidden folders are left out."""
    seen = set()
    for folder, inner, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        inner[:] = [] if real in seen else [name for name in inner if not name.startswith(".")]
        if Path(folder) == root:
            inner[:] = [name for name in inner if not name.startswith(OTHER_FORMS)]
        if real not in seen:
            yield from (Path(folder, name) for name in names)
        seen.add(real)


def refuse_code(folder: str | Path, place: str = "") -> str:
    """Return the folder of a model, tokenizer, encoder or adapter; raise BallastError if it names code to run.

    `place` opens the message. Libraries choose classes by tokenizer_config.json, modules.json and so on. peft reads
    only adapter_config.json of an adapter's folder; other jobs may write below it.
    """
    root = Path(folder)
    files = model_files(root, (".json",)) if not _is_adapter(root) else [root / "adapter_config.json"]
    for file in files:
        if (file.name == "modules.json" or "config" in file.name) and (named := _code(file)):
            raise BallastError(
                f"{place}{file}: it names code ({named[:200]!r}), which is never run; give a copy without it, for a "
                "class that transformers, peft or sentence-transformers has"
            )
    return str(folder)


def _is_adapter(folder: Path) -> bool:
    return (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file()


def _code(file: Path) -> str | None:
    """Return the first key of a JSON file that names code outside the libraries, with its value; None without one."""
    waiting = [("", read_json(file))]
    while waiting:
        key, value = waiting.pop()
        if _names_code(file.name, key, value):
            return f"{key}: {value}"
        if isinstance(value, dict):
            waiting += [("types" if key == "types" else name, inner) for name, inner in value.items()]
        elif isinstance(value, list):
            waiting += [(key, inner) for inner in value]
    return None


def _names_code(file: str, key: str, value: object) -> bool:
    if key == "auto_map":
        return bool(value)
    if not isinstance(value, str):
        return False
    if key in KERNELS:  # the hub's name of a kernel
        return "/" in value
    if key == "parent_library":  # of a peft adapter
        return not value.startswith(("transformers.", "peft."))
    if key == "type" and file != "modules.json":
        return False
    return "." in value and not value.startswith(KNOWN.get(key, ""))
