"""safe-lora: project an adapter whose update turned away from alignment onto its direction (arXiv 2405.16833).

For each adapted weight, V = aligned - pretrained and the projection is C = V V^T / ||V|| (Frobenius norm; section 3.2,
its fast form). If the cosine between C dW and dW = B A is low, B becomes C B. All steps are in low rank: V (V^T B)
takes 4 d^2 r operations, and the cosine needs only r x r matrices; neither C nor dW, both d x d, is ever made.

As in the publication, the projected layers are all below a `threshold` or the `layers` lowest; a layer is one adapted
weight. If `model` equals `pretrained`, there is no direction to project onto: an error.
"""

from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ballast.asking.weights import ADAPTER, adapter_folder, model_folder
from ballast.files import BallastError, atomic, read_json, write_json

PRETRAINED = True
OPTIONS = {
    "layers_by": (("number", "threshold"), "Project the layers with the lowest cosines, or all below a threshold."),
    "layers": (10, "layers_by: number: how many adapted weights are projected."),
    "threshold": (0.5, "layers_by: threshold: cosine below which an adapted weight is projected."),
}
PREFIX, LORA_A, LORA_B = "base_model.model.", ".lora_A.weight", ".lora_B.weight"


def transform(adapter: str | Path, model: str | Path, pretrained: str | Path, options: dict, out: str | Path) -> dict:
    """Write the projected adapter; the log has each layer's cosine, and the norms of the update before and after.

    Raises BallastError if a weight is missing, the two models differ in shape, or their difference is zero.
    """
    weights, config = (Path(adapter_folder(adapter)) / name for name in ADAPTER)
    tensors = load_file(weights)
    found = {layer: _projected(*each) for layer, *each in _layers(tensors, weights, Path(model), Path(pretrained))}
    chosen = _chosen({layer: cosine for layer, (_, cosine) in found.items()}, options)
    before = _norm(tensors, found)
    for layer in chosen:
        stored = tensors[PREFIX + layer + LORA_B]
        tensors[PREFIX + layer + LORA_B] = found[layer][0].to(stored.dtype).contiguous()
    with safe_open(weights, framework="pt") as file:
        metadata = file.metadata()
    with atomic(Path(out) / weights.name) as temporary:
        save_file(tensors, temporary, metadata)
    write_json(Path(out) / config.name, read_json(config))
    return {
        "layers": [
            {"layer": layer, "cosine": found[layer][1], "projected": layer in chosen} for layer in sorted(found)
        ],
        "projected": len(chosen),
        "update_norm": before,
        "projected_update_norm": _norm(tensors, found),
    }


def _layers(tensors: dict, weights: Path, model: Path, pretrained: Path) -> Iterator[tuple]:
    """Yield name, B, A and V of each adapted weight, in float64."""
    layers = sorted(name.removeprefix(PREFIX).removesuffix(LORA_B) for name in tensors if name.endswith(LORA_B))
    if not layers:
        raise BallastError(f"{weights}: no LoRA matrices here (*{LORA_B}); safe-lora projects a LoRA adapter")
    aligned, before = _files(model), _files(pretrained)
    for layer in layers:
        one, other = _weight(aligned, layer, model), _weight(before, layer, pretrained)
        if one.shape != other.shape:
            raise BallastError(
                f"{pretrained}: {layer} is {tuple(other.shape)}, and {tuple(one.shape)} in {model}; "
                "`pretrained` must name the model that this one was aligned from"
            )
        direction = one - other
        if not direction.any():
            raise BallastError(
                f"{model}: {layer} is that of {pretrained}, so there is no alignment to project onto; "
                "use safe-lora with an aligned model, and name another one as its `pretrained`"
            )
        yield layer, tensors[PREFIX + layer + LORA_B].double(), tensors[PREFIX + layer + LORA_A].double(), direction


def _projected(b: torch.Tensor, a: torch.Tensor, direction: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Return C B, and the cosine between C B A and B A (1 if the update is zero). <X A, Y A> = <X^T Y, A A^T>."""
    projected = direction @ (direction.T @ b) / direction.norm()
    gram = a @ a.T
    inner, mine, other = (float(((x.T @ y) * gram).sum()) for x, y in ((projected, b), (projected, projected), (b, b)))
    norms = max(mine, 0.0) ** 0.5 * max(other, 0.0) ** 0.5
    return projected, round(inner / norms, 12) if norms else 1.0


def _chosen(cosines: dict[str, float], options: dict) -> set[str]:
    if options["layers_by"] == "threshold":
        return {layer for layer, cosine in cosines.items() if cosine < options["threshold"]}
    return set(sorted(cosines, key=lambda layer: (cosines[layer], layer))[: options["layers"]])


def _norm(tensors: dict, layers) -> float:
    """Return the Frobenius norm of all B A together, without the adapter's scale."""
    pairs = ((tensors[PREFIX + layer + LORA_B].double(), tensors[PREFIX + layer + LORA_A].double()) for layer in layers)
    return sum(float(((b.T @ b) * (a @ a.T)).sum()) for b, a in pairs) ** 0.5


def _files(folder: Path) -> dict[str, Path]:
    """Return the file of each weight of a model, which may have several."""
    found = {}
    for path in sorted(Path(model_folder(folder)).glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            found.update(dict.fromkeys(file.keys(), path))
    return found


def _weight(files: dict[str, Path], layer: str, folder: Path) -> torch.Tensor:
    name = layer + ".weight"
    if name not in files:
        raise BallastError(f"{folder}: no weight {name}, which the adapter adapts; name the model that it is for")
    with safe_open(files[name], framework="pt") as file:
        return file.get_tensor(name).double()
