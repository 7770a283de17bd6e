"""A CPU without arithmetic in 16 bits: each load of a model and the doctor say that float32 is faster."""

import pytest
import torch

from ballast.asking import loading
from ballast.running import doctor


@pytest.fixture(params=[True, False])
def able(request, monkeypatch) -> bool:
    """Return whether the CPU of this test has arithmetic in 16 bits."""
    for name in ("_is_mkldnn_bf16_supported", "_is_mkldnn_fp16_supported"):
        getattr(torch.ops.mkldnn, name)  # torch has it
        monkeypatch.setattr(torch.ops.mkldnn, name, lambda: request.param)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    return request.param


def test_a_model_in_16_bits_says_that_it_is_slow(able, model, capsys):
    loading.load_model(model, "bfloat16")
    assert ("no arithmetic in bfloat16" in capsys.readouterr().err) != able
    loading.load_model(model, "float32")
    assert capsys.readouterr().err == ""


def test_a_gpu_is_not_slow(able, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert loading.slow_here("bfloat16") is None


@pytest.mark.parametrize(("gigabytes", "told"), [(0.3, True), (14, False)])
def test_the_doctor_finds_it_unless_the_study_needs_a_gpu_anyway(able, gigabytes, told):
    source = {"kind": "model", "gigabytes": gigabytes, "package": None}
    options = {"backends": [], "training": {"dtype": "bfloat16"}, "generation": {"dtype": "float32"}}
    found = [one for one in doctor._machine({"m": source}, options) if one.about == "CPU"]
    assert bool(found) == (told and not able) and all(one.state == doctor.PROBLEM for one in found)
