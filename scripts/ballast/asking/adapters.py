"""Lay a PEFT adapter over a model, so that each of its weights is used, or refuse it."""

from safetensors import safe_open

from ballast.asking import from_folder
from ballast.asking.weights import ADAPTER, adapter_folder
from ballast.files import BallastError


def lay(network, folder: str):
    """Return the model with the adapter. Raises BallastError if the adapter was made for another model.

    peft itself leaves out weights for layers that the model lacks, and says so in a warning alone.
    """
    from peft import get_peft_model_state_dict

    try:
        laid = from_folder.with_adapter(network, adapter_folder(folder))
    except (RuntimeError, ValueError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        said = lines[1] if len(lines) > 1 else lines[0]
        raise BallastError(
            f"{folder}: the adapter does not fit its model ({said}); give the model that it was trained on, or the "
            "merged model if training added tokens"
        ) from None
    with safe_open(f"{folder}/{ADAPTER[0]}", framework="np") as file:
        given = set(file.keys())
    there = set(get_peft_model_state_dict(laid))
    for names, said in ((given - there, "has no place for"), (there - given, "needs")):
        if names:
            raise BallastError(
                f"{folder}: its model {said} {len(names)} weights of the adapter, such as {min(names)}; give the model "
                "that it was trained on"
            )
    return laid
