"""Fetched pickles and tokenizers that are converted: into what, and that none runs code."""

import pickle
from pathlib import Path

import pytest
from helpers.hub import entry

from ballast.data import fetching
from ballast.files import BallastError


def pickled(folder: Path, **contents) -> dict:
    import torch

    folder.mkdir()
    (folder / "config.json").write_text("{}")
    for name, content in contents.items():
        torch.save(content, folder / f"{name}.bin")
    return entry(kind="model", files={"*": "unknown"}, local=str(folder), convert_pickle=True)


def test_pickled_tensors_are_converted_where_asked(tmp_path):
    import torch
    from safetensors.torch import load_file

    source = pickled(tmp_path / "copy", pytorch_model={"layer": torch.arange(4.0)})
    fetching.fetch("ours", source, tmp_path / "ours")
    assert load_file(tmp_path / "ours/model.safetensors")["layer"].tolist() == [0, 1, 2, 3]
    assert not (tmp_path / "ours/pytorch_model.bin").exists() and (tmp_path / "copy/pytorch_model.bin").exists()


def test_pickled_weights_in_several_files_are_converted_whole(tmp_path):
    import torch
    from safetensors.torch import load_file

    parts = {"pytorch_model-1": {"first": torch.arange(4.0)}, "pytorch_model-2": {"second": torch.ones(2)}}
    said = fetching.fetch("ours", pickled(tmp_path / "copy", **parts), tmp_path / "ours")
    found = load_file(tmp_path / "ours/model.safetensors")
    assert {name: tensor.tolist() for name, tensor in found.items()} == {"first": [0, 1, 2, 3], "second": [1, 1]}
    assert set(said["sha256"]) == {"config.json", "model.safetensors"}


def test_a_tokenizer_of_sentencepiece_alone_keeps_its_leading_spaces(tmp_path):
    import sentencepiece
    from transformers import AutoTokenizer

    (tmp_path / "copy").mkdir()
    sentences = [f"the judge says safe or unsafe of number {number} ." for number in range(200)]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences),
        model_prefix=str(tmp_path / "copy/tokenizer"),
        model_type="bpe",
        vocab_size=120,
        byte_fallback=False,
        minloglevel=2,
    )
    (tmp_path / "copy/tokenizer.vocab").unlink()
    (tmp_path / "copy/config.json").write_text('{"model_type": "mistral"}')
    (tmp_path / "copy/model.safetensors").write_bytes(b"")
    fetching.fetch("ours", entry(kind="model", local=str(tmp_path / "copy")), tmp_path / "ours")
    read = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "copy/tokenizer.model"))
    loaded = AutoTokenizer.from_pretrained(tmp_path / "ours")
    for text in ("safe", "unsafe of the judge"):
        assert loaded(text, add_special_tokens=False)["input_ids"] == read.encode(text)


class Bomb:
    """What an attacker would pickle: loading it makes a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_a_pickle_that_would_run_code_does_not(tmp_path):
    source = pickled(tmp_path / "copy", pytorch_model={"layer": Bomb(tmp_path / "ran")})
    with pytest.raises(BallastError, match="holds more than tensors"):
        fetching.fetch("ours", source, tmp_path / "ours")
    assert not (tmp_path / "ran").exists() and not (tmp_path / "ours").exists()
    with pytest.raises(
        pickle.UnpicklingError
    ):  # the bomb is armed: torch itself refuses it only in its restricted mode
        import torch

        torch.load(tmp_path / "copy/pytorch_model.bin", weights_only=True)
