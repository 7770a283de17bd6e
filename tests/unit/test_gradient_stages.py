"""The stages of a model's features on a tiny random model: warm-up, gradients, log-probabilities."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.tiny_runs import OPTIONS
from peft import PeftModel

import ballast
from ballast import schemas
from ballast.backends import transformers as backend
from ballast.files import BallastError
from ballast.picks import features, gradients
from ballast.training import fit

SCRIPTS = Path(ballast.__file__).parents[1]
NAMES = "abcdefghijkl"
GIVEN = {key: OPTIONS[key] for key in ("prompt", "template", "system", "max_length", "dtype")}
ASKED = GIVEN | {"batch_size": 5, "dimensions": 4096, "projection_seed": 0}
TRAINING = OPTIONS | {"num_train_epochs": 3}


def stage(name: str, **arguments) -> None:
    words = [word for key, value in arguments.items() for word in (f"--{key.replace('_', '-')}", str(value))]
    before, sys.argv = sys.argv, [f"{name}.py", *words]
    try:
        runpy.run_path(str(SCRIPTS / f"{name}.py"), run_name="__main__")
    finally:
        sys.argv = before


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Twelve rows of different lengths, and one whose prompt fills the window."""
    outputs = [letter * (3 + 5 * (place % 4)) for place, letter in enumerate(NAMES)]
    table = pd.DataFrame({"id": list(NAMES), "instruction": [f"Say {letter}." for letter in NAMES], "input": ""})
    table = table.assign(output=outputs).astype(str)
    long = pd.DataFrame([{"id": "long", "instruction": "x" * 200, "input": "", "output": "y"}])
    path = tmp_path_factory.mktemp("data") / "rows.parquet"
    schemas.write(str(path), pd.concat([table, long], ignore_index=True), schemas.PAIRS)
    return path


def warm_up(model: str, data: Path, out: Path, **changes) -> Path:
    given = {"model": model, "base": data, "options": json.dumps(TRAINING), "rows": 6, "seed": 3, "code": "code"}
    stage("warm_up", **given | {"partial": out.parent / "partial", "checkpoint_minutes": 10, "out": out} | changes)
    return out


@pytest.fixture(scope="module")
def adapter(model, data, tmp_path_factory) -> Path:
    return warm_up(model, data, tmp_path_factory.mktemp("warm") / "up")


@pytest.fixture(scope="module")
def taken(model, data, adapter, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("taken") / "gradients.arrow"
    stage("gradients", model=model, adapter=adapter, rows=data, options=json.dumps(ASKED), out=out)
    return out


@pytest.fixture(scope="module")
def said(model, data, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("said") / "logprobs.parquet"
    stage("logprobs", model=model, rows=data, options=json.dumps(ASKED), out=out)
    return out


def shuffled(data: Path, folder: Path) -> Path:
    rows = schemas.read(str(data), schemas.PAIRS).sample(frac=1, random_state=1)
    schemas.write(str(folder / "shuffled.parquet"), rows, schemas.PAIRS)
    return folder / "shuffled.parquet"


def alone(model: str, data: Path, adapter: Path | None, row: str):
    """One row's response loss, its gradient in the adapter's weights and its tokens' log-probabilities, by autograd."""
    network = backend.load_model(model)
    if adapter:
        network = PeftModel.from_pretrained(network, str(adapter), is_trainable=True)
    rows = schemas.read(str(data), schemas.PAIRS).set_index("id", drop=False)
    [example] = fit.encode(backend.load_tokenizer(model), rows.loc[[row]], OPTIONS | {"train_on_prompt": False})
    labels = torch.tensor(example["labels"])[1:]
    logits = network.eval()(torch.tensor([example["input_ids"]])).logits[0, :-1]
    likely = torch.log_softmax(logits, -1)[labels != fit.IGNORED].gather(1, labels[labels != fit.IGNORED, None])[:, 0]
    loss = -likely.mean()
    named = [weight for weight in network.parameters() if weight.requires_grad] if adapter else []
    gradient = torch.cat([each.flatten() for each in torch.autograd.grad(loss, named)]) if named else None
    return float(loss.detach()), gradient, likely.detach().numpy()


def test_losses_norms_and_cosines_are_those_of_single_rows(model, data, adapter, taken):
    found = gradients.read(taken)
    assert found.ids == [*NAMES, "long"], "by id"
    assert found.norms[-1] == 0 and np.isnan(found.losses[-1]), "its prompt fills the window"
    exact = []
    for place, row in enumerate(NAMES):
        loss, gradient, _ = alone(model, data, adapter, row)
        assert found.losses[place] == pytest.approx(loss, rel=1e-5)
        assert found.norms[place] == pytest.approx(float(gradient.norm()), rel=1e-4)
        exact.append(gradient.double().numpy())
    rows, exact = np.arange(12), np.stack(exact)
    direction = exact.mean(axis=0)
    cosines = exact @ direction / np.linalg.norm(exact, axis=1) / np.linalg.norm(direction)
    # Six standard errors of a cosine in 4,096 dimensions.
    assert np.abs(found.cosines(rows, found.mean(rows)) - cosines).max() < 6 / 64


def test_logprobs_are_those_of_the_model_as_it_is(model, data, said, tmp_path):
    known = features.load(logprobs=str(said)).logprobs
    assert known.index.tolist() == [*NAMES, "long"] and len(known["long"]) == 0
    for row in NAMES:
        _, _, wanted = alone(model, data, None, row)
        assert np.abs(known[row] - wanted).max() < 1e-5 and known[row].dtype == np.float32


def test_the_order_of_rows_and_another_process_change_no_byte(model, data, adapter, taken, said, tmp_path):
    other = shuffled(data, tmp_path)
    stage("gradients", model=model, adapter=adapter, rows=other, options=json.dumps(ASKED), out=tmp_path / "g.arrow")
    stage("logprobs", model=model, rows=other, options=json.dumps(ASKED), out=tmp_path / "l.parquet")
    assert (tmp_path / "g.arrow").read_bytes() == taken.read_bytes()
    assert (tmp_path / "l.parquet").read_bytes() == said.read_bytes()
    again = warm_up(model, other, tmp_path / "up")
    files = ("adapter_model.safetensors", "adapter_config.json", "training.json")
    assert all((again / name).read_bytes() == (adapter / name).read_bytes() for name in files)


def test_parts_change_nothing_but_batches(model, data, adapter, taken, tmp_path, monkeypatch):
    monkeypatch.setattr("ballast.training.learnt_tokens.PART", 4)
    stage("gradients", model=model, adapter=adapter, rows=data, options=json.dumps(ASKED), out=tmp_path / "g.arrow")
    one, other = gradients.read(taken), gradients.read(tmp_path / "g.arrow")
    assert other.ids == one.ids and np.allclose(other.norms, one.norms, rtol=1e-4)


def test_a_limit_draws_rows_by_the_seed(model, data, adapter, tmp_path):
    drawn = {}
    for seed in (0, 1):
        out = tmp_path / f"{seed}.arrow"
        given = {"model": model, "adapter": adapter, "rows": data, "options": json.dumps(ASKED), "out": out}
        stage("gradients", **given, limit=4, seed=seed)
        drawn[seed] = gradients.read(out).ids
    assert len(drawn[0]) == len(drawn[1]) == 4 and drawn[0] != drawn[1]


def test_a_warm_up_takes_so_many_rows_and_all_where_there_are_fewer(model, data, adapter, tmp_path, capsys):
    assert json.loads((adapter / "training.json").read_text())["rows_by_origin"] == {"base": 6}
    everything = warm_up(model, data, tmp_path / "up", rows=99)
    assert json.loads((everything / "training.json").read_text())["rows"] == 13
    assert "gradients.warm_up_rows 99: there are 13, all taken" in capsys.readouterr().err
    other = warm_up(model, data, tmp_path / "other", seed=4)
    weights = [(folder / "adapter_model.safetensors").read_bytes() for folder in (adapter, other)]
    assert weights[0] != weights[1]


def test_an_adapter_that_is_not_there_is_told(model, data, tmp_path):
    with pytest.raises(BallastError, match="none"):
        stage(
            "gradients",
            model=model,
            adapter=tmp_path / "none",
            rows=data,
            options=json.dumps(ASKED),
            out=tmp_path / "g",
        )
