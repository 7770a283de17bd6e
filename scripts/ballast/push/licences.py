"""Decide by its name whether a licence lets others publish data, and name it as the hub does."""

import re
from collections.abc import Sequence

# The hub's ids. Those of the first group ask at most for attribution, so that any other licence of a mixture decides.
PERMISSIVE = (
    *("apache-2.0", "bsd-2-clause", "bsd-3-clause", "cc-by-3.0", "cc-by-4.0", "cc0-1.0", "cdla-permissive-1.0"),
    *("cdla-permissive-2.0", "isc", "mit", "odc-by", "pddl", "unlicense"),
)
BINDING = (
    *("agpl-3.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0"),
    *("cc-by-sa-3.0", "cc-by-sa-4.0", "cdla-sharing-1.0", "gemma", "gpl-2.0", "gpl-3.0", "lgpl-3.0", "llama2"),
    *("llama3", "llama3.1", "llama3.2", "llama3.3", "mpl-2.0", "odbl"),
)
# Other names in small letters, a hyphen for each space.
NAMES = {
    "apache-2.0,-as-ballast": "apache-2.0",
    "apache-license-2.0": "apache-2.0",
    "cc0": "cc0-1.0",
    "gemma-terms-of-use": "gemma",
    "llama-2-community-license": "llama2",
    "llama-3-community-license": "llama3",
    "llama-3.1-community-license": "llama3.1",
    "mit-license": "mit",
}
FORBIDS = re.compile(
    r"\bnd\b|no[- ]?deriv|all rights reserved|proprietary|confidential|^none$|no licen[cs]e|not (?:be )?(?:re)?distr",
    re.IGNORECASE,
)
# A card's `license_name` where its parts have several licences.
SEVERAL = "licences-of-its-sources"


def hub_id(licence: str) -> str | None:
    """Return the hub's id of a licence that lets others publish; None if Ballast does not know it."""
    name = re.sub(r"[\s_]+", "-", licence.strip().lower())
    return NAMES.get(name, name if name in (*PERMISSIVE, *BINDING) else None)


def refusal(licence: str, checked: bool, gated: bool = False) -> str | None:
    """Return why data under a licence cannot be published; None if they can.

    checked: the person has read a licence that Ballast does not know. gated: the data's page asks for consent first.
    """
    if FORBIDS.search(licence):
        return f"licence '{licence}' forbids it"
    if gated:
        return f"its page hands it out only to people who accept terms (gated; licence '{licence}')"
    if hub_id(licence) is None and not checked:
        return f"Ballast does not know whether licence '{licence}' allows it; read it, then add --licence-checked"
    return None


def metadata(licences: Sequence[str]) -> dict[str, str]:
    """Return `license`, and `license_name` if that is `other`, of a thing made from parts with these licences.

    Parts that ask at most for attribution leave the choice to the one other licence.
    """
    ids = {hub_id(licence) for licence in licences}
    others = ids - set(PERMISSIVE)
    decides = others or ids
    if len(decides) == 1 and None not in decides:
        return {"license": decides.pop()}
    one = re.sub(r"[^a-z0-9.]+", "-", licences[0].lower()).strip("-") if len(set(licences)) == 1 else ""
    return {"license": "other", "license_name": one or SEVERAL}
