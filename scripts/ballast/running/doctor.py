"""Check, before any job starts, that this machine can run the study: pins, gated access, disk, GPU, keys, models."""

import importlib.util
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ballast.data import packages
from ballast.files import BallastError
from ballast.running import gpu_memory
from ballast.study.places import UNKNOWN
from ballast.study.sources import page

OK, NOTE, PROBLEM = "ok", "note", "problem"
WORST_FIRST = (PROBLEM, NOTE, OK)
# Adapter (17 MB in float32 at rank 8 on q and v of a 7B model), responses and scores of one run.
GIGABYTES_PER_RUN = 0.03
# A larger model is too slow on a CPU.
CPU_GIGABYTES = 1


@dataclass(frozen=True)
class Diagnosis:
    """One line of the doctor's report."""

    state: str
    about: str
    said: str


def examine(options: dict, node_gpus: int = 0, gpu_gigabytes: float = 0) -> list[Diagnosis]:
    """Return findings for a study.

    `options`: sources (name -> entry), allow_unpinned, backends, bitsandbytes (whether a job imports it), keys,
    results, runs, kept (gigabytes of the models that runs keep), models (name -> folder and what `training.fits`
    checks), engines (`BillOptions.engines`), training, generation. `node_gpus`, `gpu_gigabytes`: GPUs of a node and the
    memory of each; 0 asks this machine.
    """
    away = {name: source for name, source in options["sources"].items() if not source["local"]}
    return [
        *_pins(away, options["allow_unpinned"]),
        *_access(away),
        *_disk(away, Path(options["results"]), GIGABYTES_PER_RUN * options["runs"] + options.get("kept", 0)),
        *_machine(away, options),
        *_keys(options["keys"]),
        *_models(options.get("models", {})),
        *_gpus(options, *_node(node_gpus, gpu_gigabytes)),
    ]


def lines(findings: list[Diagnosis]) -> Iterator[str]:
    """Yield one line for all that the same was found of, the worst first."""
    together: dict[tuple[str, str], list[str]] = {}
    for finding in sorted(findings, key=lambda finding: WORST_FIRST.index(finding.state)):
        together.setdefault((finding.state, finding.said), []).append(finding.about)
    for (state, said), about in together.items():
        yield f"{state:8} {', '.join(about)}: {said}"


def _pins(away: dict[str, dict], allow_unpinned: bool) -> Iterator[Diagnosis]:
    for name, source in away.items():
        digests = [*source["files"].values(), *([source["template"]] if source["kind"] == "template" else [])]
        if source["revision"] == UNKNOWN:
            state = NOTE if allow_unpinned else PROBLEM
            yield Diagnosis(state, name, f"revision unknown; set sources.{name}.revision from {page(source)}")
        elif UNKNOWN in digests:
            yield Diagnosis(NOTE, name, "pinned to a revision; not every file's digest is known beforehand")
        else:
            yield Diagnosis(OK, name, "pinned to a revision and digests")


def _access(away: dict[str, dict]) -> Iterator[Diagnosis]:
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.constants import HF_HUB_OFFLINE
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    for name, source in away.items():
        where = f"{source['licence']}, {page(source)}"
        if _cached(source):
            yield Diagnosis(OK, name, f"in this machine's cache ({where})")
        elif HF_HUB_OFFLINE:
            yield Diagnosis(
                PROBLEM, name, f"offline, and not in the cache: {', '.join(source['files'])} of {page(source)}"
            )
        elif source["gated"] and not get_token():
            yield Diagnosis(PROBLEM, name, f"gated: accept its terms on {page(source)}, then set HF_TOKEN")
        elif source["package"]:
            there = source["revision"] in packages.versions(source["package"])
            said = f"may be fetched ({where})" if there else f"pip's index lacks it or is out of reach: {page(source)}"
            yield Diagnosis(OK if there else PROBLEM, name, said)
        elif source["hub"]:
            kind = "model" if source["kind"] == "model" else "dataset"
            try:
                HfApi().auth_check(source["hub"], repo_type=kind)
            except GatedRepoError:
                yield Diagnosis(
                    PROBLEM, name, f"gated, and this token may not read it: accept its terms on {page(source)}"
                )
            except RepositoryNotFoundError:
                yield Diagnosis(PROBLEM, name, f"the hub shows nothing there to this token: {page(source)}")
            except Exception as error:
                said = f"the hub cannot be reached ({type(error).__name__}); check the network, or fill its cache"
                yield Diagnosis(PROBLEM, name, said)
            else:
                yield Diagnosis(OK, name, f"may be fetched ({where})")


def _cached(source: dict) -> bool:
    """Return whether the hub's cache holds every file; a pattern counts as cached once its revision was fetched."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.constants import HF_HUB_CACHE

    if source["revision"] == UNKNOWN:
        return False
    if source["package"]:
        return packages.kept(source).is_file()
    if source["github"]:
        folder = Path(HF_HUB_CACHE) / "ballast" / source["github"] / source["revision"]
        return all((folder / path).is_file() for path in source["files"])
    try:
        kind = "model" if source["kind"] == "model" else "dataset"
        asked = {"repo_type": kind, "revision": source["revision"], "allow_patterns": list(source["files"])}
        folder = Path(snapshot_download(source["hub"], local_files_only=True, **asked))
    except Exception:
        return False
    return all(any(folder.glob(pattern)) for pattern in source["files"])


def _disk(away: dict[str, dict], results: Path, made: float) -> Iterator[Diagnosis]:
    from huggingface_hub.constants import HF_HUB_CACHE

    wanted = sum(source["gigabytes"] or 0 for source in away.values() if not _cached(source))
    for about, folder, gigabytes in (
        ("cache of the hub", Path(HF_HUB_CACHE), wanted),
        ("results", results, made),
    ):
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        free = shutil.disk_usage(there).free / 1e9
        said = f"{gigabytes:.0f} GB wanted, {free:.0f} GB free in {folder}"
        if free > gigabytes:
            yield Diagnosis(OK, about, said)
        else:
            yield Diagnosis(PROBLEM, about, f"{said}; make room, or set HF_HOME or the clone on a larger disk")


def _machine(away: dict[str, dict], options: dict) -> Iterator[Diagnosis]:
    import torch

    models = [source for source in away.values() if source["kind"] == "model"]
    large = [source for source in models if source["gigabytes"] is None or source["gigabytes"] > CPU_GIGABYTES]
    if torch.cuda.is_available():
        memory = torch.cuda.get_device_properties(0).total_memory / 2**30
        yield Diagnosis(OK, "GPU", f"{torch.cuda.get_device_name()}, {memory:.0f} GiB")
    elif large:
        yield Diagnosis(NOTE, "GPU", "none on this machine; jobs need one of 48 GB each, on a cluster or elsewhere")
    from ballast.asking.loading import slow_here

    used = {options.get(section, {}).get("dtype") for section in ("training", "generation")} if not large else set()
    for line in filter(None, map(slow_here, sorted(used - {None}))):
        yield Diagnosis(PROBLEM, "CPU", line)
    for package, needed, file in (
        ("vllm", "vllm" in options["backends"], "gpu.lock"),
        ("bitsandbytes", options.get("bitsandbytes"), "gpu.lock"),
        ("gguf", any(source["package"] for source in away.values()), "run.lock"),
    ):
        if needed:
            there = importlib.util.find_spec(package) is not None
            said = "installed" if there else f"not installed in this environment; see envs/{file}"
            yield Diagnosis(OK if there else PROBLEM, package, said)


def _keys(names: list[str]) -> Iterator[Diagnosis]:
    for name in names:
        there = bool(os.environ.get(name))
        yield Diagnosis(OK if there else PROBLEM, name, "set" if there else "not set; the endpoint asks for a key")


def _models(models: dict[str, dict]) -> Iterator[Diagnosis]:
    """Check the models that are on this machine by now; a job checks each at its start."""
    for name, model in models.items():
        if not (Path(model["folder"]) / "config.json").is_file():
            continue
        from ballast.training import fits

        try:
            fits.check(model["folder"], model)
        except BallastError as error:
            yield Diagnosis(PROBLEM, name, str(error))
        else:
            yield Diagnosis(OK, name, "its tokenizer, template and layers fit")


def _node(gpus: int, gigabytes: float) -> tuple[int, float]:
    """Return the number of GPUs of a node, and the gigabytes of each; those of this machine if they are 0."""
    import torch

    if not gigabytes and torch.cuda.is_available():
        gigabytes = torch.cuda.get_device_properties(0).total_memory / 1e9
    return gpus or torch.cuda.device_count(), gigabytes


def _gpus(options: dict, node: int, card: float) -> Iterator[Diagnosis]:
    """Compare what each large model takes with a node's `node` GPUs of `card` gigabytes; 0 of them: unknown."""
    for name, engine in options.get("engines", {}).items():
        if node and engine["gpus"] > node:
            said = f"{engine['gpus']} GPUs asked for, a node has {node}; lower training.gpus or tensor_parallel"
            yield Diagnosis(PROBLEM, f"GPUs of {name}", said)
        large = (engine["gigabytes"] or 0) > CPU_GIGABYTES
        if large:
            parts = _parts(name, engine, options)
            yield _fits(f"memory of {name}", parts, card, engine["gpus"])


def _parts(name: str, engine: dict, options: dict) -> dict[str, float]:
    """Return the gigabytes that a model takes on its fullest GPU, by part."""
    rule, _, model = name.partition(" ")
    if rule != "train":
        dtype = options["generation"]["dtype"] if rule == "generate" else "bfloat16"
        each = gpu_memory.answering(engine["gigabytes"], dtype, engine["quantize"], engine["gpus"])
        return {"weights": each}
    lora = options["training"]["lora"]
    folder = options["models"][f"models.{model}"]["folder"]
    with suppress(BallastError):  # `_models` says what does not fit
        if (Path(folder) / "config.json").is_file():
            return gpu_memory.training(gpu_memory.known(folder, lora), options["training"])
    parts = gpu_memory.training(gpu_memory.assumed(engine["gigabytes"], lora), options["training"])
    del parts["activations"]  # their number needs the model's config.json
    return parts


def _fits(about: str, parts: dict[str, float], card: float, gpus: int) -> Diagnosis:
    """Return the line of one model: a problem if what it surely takes is more than a GPU has."""
    total, sure = sum(parts.values()), sum(parts.values()) - parts.get("activations", 0)
    listed = ", ".join(f"{part} {number:.1f}" for part, number in parts.items())
    of = f" of {card:.0f}" if card else ""
    said = f"{total:.1f}{of} GB on each of {gpus} GPUs: {listed}" if gpus > 1 else f"{total:.1f}{of} GB: {listed}"
    if "train" in about and "activations" not in parts:
        said += ", activations unknown until the model is here"
    if not card or total <= card:
        return Diagnosis(OK, about, said)
    advice = "set quantize, a smaller per_device_train_batch_size, or more GPUs"
    return Diagnosis(PROBLEM if sure > card else NOTE, about, f"{said}; {advice}")
