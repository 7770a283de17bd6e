"""What several suites share."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import preloaded as beside

# As in a stage: sums on more threads end in other digits, and on tiny models threads wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).parents[1]
CHAT = "{{ bos_token }}{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}\n{% endfor %}[assistant] "


@pytest.fixture(autouse=True, scope="module")
def frozen():
    """Leave out of garbage collection what libraries and pytest hold: else a tiny training takes five times as long."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data files: $BALLAST_DATA, or ../shared/data. A test that wants it is skipped without it."""
    folder = Path(os.environ.get("BALLAST_DATA") or ROOT / "../shared/data").resolve()
    if not (folder / "MANIFEST.md").is_file():
        pytest.skip("the real data files are not here; set BALLAST_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> str:
    """A random Llama of two layers over single bytes."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, set_seed

    folder = str(tmp_path_factory.mktemp("model"))
    alphabet = {letter: number + 3 for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    vocabulary = {"<pad>": 0, "<s>": 1, "</s>": 2} | alphabet
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in ("<pad>", "<s>", "</s>")])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    names = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)
    fast.chat_template = CHAT
    fast.save_pretrained(folder)
    set_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    LlamaForCausalLM(LlamaConfig(vocab_size=len(vocabulary), bos_token_id=1, eos_token_id=2, **sizes)).save_pretrained(
        folder
    )
    return folder


@pytest.fixture(scope="session")
def reward_model(model, tmp_path_factory) -> str:
    """A random DeBERTa with one output and relative positions, over the same bytes."""
    from transformers import AutoTokenizer, DebertaV2Config, DebertaV2ForSequenceClassification, set_seed

    folder = str(tmp_path_factory.mktemp("reward-model"))
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.save_pretrained(folder)
    set_seed(1)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    sizes |= {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_biased_input": False}
    sizes |= {"num_labels": 1, "initializer_range": 0.3, "max_position_embeddings": 512}
    config = DebertaV2Config(vocab_size=len(tokenizer), **sizes)
    DebertaV2ForSequenceClassification(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def preloaded():
    """The environment of a job beside a preloaded process that is ready."""
    with beside.preloaded() as environment:
        yield environment


@pytest.fixture
def run_stage(monkeypatch, capsys):
    """Run a stage in this process as `stage.py` runs it: a process of its own imports every library again."""
    import stage

    def run(name: str, *arguments) -> subprocess.CompletedProcess:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", sys.argv)
            patch.setattr(sys, "path", [*sys.path])
            patch.setenv("BALLAST_PRELOAD", "")
            patch.setenv("HF_HUB_OFFLINE", "1")  # read long ago, when its library was imported
            capsys.readouterr()
            status = stage.main(name, *map(str, arguments))
        said = capsys.readouterr()
        return subprocess.CompletedProcess([name, *arguments], status, said.out, said.err)

    return run


@pytest.fixture
def rows():
    """Twelve rows to train on, two of them of a subset."""
    import pandas as pd

    table = pd.DataFrame({"instruction": [f"Say {word}." for word in "abcdefghijkl"], "output": list("abcdefghijkl")})
    return table.assign(input="", id=table["output"], origin=["base"] * 10 + ["subset"] * 2)
