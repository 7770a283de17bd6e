"""Load models, tokenizers, configs, adapters and encoders from folders: the only calls of `from_pretrained` in Ballast.

Nothing comes from a hub. No folder runs its own code: one that names code is refused before a library reads it.
"""

from pathlib import Path

from ballast.files import BallastError
from ballast.model_files import model_files, refuse_code


def load(kind, folder: str | Path, **settings):
    """Return what a class of transformers loads from a folder; raise BallastError if the folder names code."""
    return kind.from_pretrained(refuse_code(folder), local_files_only=True, trust_remote_code=False, **settings)


def with_adapter(network, folder: str | Path, **settings):
    """Return the model with a folder's adapter over it; raise BallastError if the folder names code."""
    from peft import PeftModel

    return PeftModel.from_pretrained(network, refuse_code(folder), local_files_only=True, **settings)


def encoder(folder: str | Path):
    """Return a folder's sentence encoder; raise BallastError if it names code or has a module with pickled weights."""
    from sentence_transformers import SentenceTransformer

    for file in model_files(folder, (".bin",)):
        if file.parent != Path(folder) and not (file.parent / "model.safetensors").is_file():
            raise BallastError(f"{file}: pickled weights are never loaded; give this module as model.safetensors")
    return SentenceTransformer(
        refuse_code(folder),
        local_files_only=True,
        trust_remote_code=False,
        model_kwargs={"use_safetensors": True},
    )
