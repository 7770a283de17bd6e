"""saft: drop base rows far along the main directions of their hidden states (Choi et al., arXiv 2410.10014).

z_i is the hidden state of a row's last token in one layer of the unchanged model, minus the mean of all rows. With the
singular vectors v_j and values s_j of these, a row's harmfulness is the mean over the first k of s_j <z_i, v_j>^2; for
k = 1, the default, this is, up to scale, the squared projection on v_1. The score is its negative.

The publication chooses layer, k and threshold on labelled rows; here they are options. The filter is for base data
with harmful rows: without any, it drops unusual rows. Cost: one forward pass over the base rows.
"""

import pandas as pd
import torch

from ballast.asking import memory
from ballast.asking.loading import load_tokenizer
from ballast.files import BallastError
from ballast.training import fit, per_example

NEEDS = ()
SEEDED = False
SAFETY = False
OPTIONS = {
    "keep": (0.8, "Share of the base rows that is kept."),
    "layer": (0, "Layer whose output is used, from 1; 0 is the middle one."),
    "directions": (1, "Number of singular vectors that span the subspace, k."),
}


def score(model, base, safety, features, options, seed) -> pd.Series:
    """Return minus each base row's harmfulness, to 6 digits of the largest; rows without a token to learn come last."""
    tokenizer, ids = load_tokenizer(model), sorted(base["id"])
    rows = fit.encode(tokenizer, base.sort_values("id", ignore_index=True), options)
    network = fit.base_model(model, options).eval()
    depth = network.config.num_hidden_layers
    layer = options["layer"] or (depth + 1) // 2
    if not 0 < layer <= depth or not 0 < options["directions"] <= network.config.hidden_size:
        raise BallastError(
            f"filter saft: layer {options['layer']}, directions {options['directions']}; this model has {depth} layers "
            f"and hidden states of {network.config.hidden_size} dimensions"
        )
    with memory.enough(fit.lower_batch(options)):
        states = _states(network, rows, fit.Collator(tokenizer), layer, options["per_device_train_batch_size"])
    harm = harmfulness(states, options["directions"])
    found = pd.Series((-harm).tolist(), [ids[row["row"]] for row in rows])
    return found.reindex(ids, fill_value=found.min())


def _states(network, rows: list[dict], collate, layer: int, size: int) -> torch.Tensor:
    """Return the hidden state of each row's last token, float64 [rows, dimensions]."""
    states = torch.empty(len(rows), network.config.hidden_size, dtype=torch.float64)
    for chosen, batch in per_example.batches(rows, size, collate, network.device):
        last = batch["attention_mask"].sum(dim=1) - 1
        inputs = {name: value for name, value in batch.items() if name != "labels"}
        with torch.inference_mode():
            hidden = network.get_decoder()(**inputs, output_hidden_states=True).hidden_states[layer]
        states[chosen] = hidden[torch.arange(len(last), device=last.device), last].double().cpu()
    return states


def harmfulness(states: torch.Tensor, directions: int) -> torch.Tensor:
    """Return each row's harmfulness [rows] from states [rows, dimensions], relative to the largest, to 6 digits."""
    centred = states - states.mean(dim=0)
    # The singular vectors are the eigenvectors of this small product: dimensions are fewer than rows.
    squares, vectors = torch.linalg.eigh(centred.T @ centred)
    values = squares[-directions:].clamp(min=0).sqrt()
    found = ((centred @ vectors[:, -directions:]).square() * values).mean(dim=1)
    return (found / found.max().clamp(min=1e-300)).round(decimals=6)
