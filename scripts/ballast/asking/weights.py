"""Check models and adapters on disk, so that a torn file is named in one line before any library loads it."""

from pathlib import Path

from safetensors import SafetensorError, safe_open

from ballast.files import BallastError, read_json
from ballast.model_files import refuse_code

ADAPTER = ("adapter_model.safetensors", "adapter_config.json")


def model_folder(path: str | Path) -> str:
    """Return `path` as the folder of a model whose files are whole; else raise BallastError."""
    if not (Path(path) / "config.json").is_file():
        raise BallastError(f"{path}: no model here (no config.json); give the folder of a model on this machine")
    weights = sorted(Path(path).glob("*.safetensors"))
    if not weights:
        raise BallastError(f"{path}: no safetensors weights here; pickled weights are never loaded")
    read_json(Path(path) / "config.json")
    refuse_code(path)
    for file in weights:
        check(file)
    return str(path)


def adapter_folder(path: str | Path) -> str:
    """Return `path` as the folder of a LoRA adapter whose files are whole; else raise BallastError."""
    weights, config = (Path(path) / name for name in ADAPTER)
    if not weights.is_file():
        raise BallastError(f"{path}: no adapter here (no {weights.name})")
    read_json(config)
    refuse_code(path)
    check(weights)
    return str(path)


def check(path: str | Path) -> None:
    """Raise BallastError if a safetensors file is not whole. Reads only the header, which gives the file's length."""
    try:
        with safe_open(path, framework="np"):
            pass
    except (SafetensorError, OSError) as error:
        raise BallastError(
            f"{path}: not a whole safetensors file ({Path(path).stat().st_size} bytes); delete it and run again, "
            "or copy it again where it is a file of yours"
        ) from error
