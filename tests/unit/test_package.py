"""The package as `pip install .` gives it: built, installed and used outside the checkout, without a network."""

import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "scripts/ballast"
CORE = {"numpy", "pandas", "pandera", "platformdirs", "py3langid", "pyarrow", "pydantic", "pyyaml"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

USE = """
import json, sys
import pandas as pd
from ballast import identity, plugins
from ballast.api import select

pool = pd.DataFrame({"prompt": [f"Ask {row}" for row in range(40)], "response": "Answer"})
picked = select(pool, "sss-b", 14, behaviour=["T1"] * 40, category=[row % 14 for row in range(40)])
print(json.dumps({
    "home": str(plugins.HOME),
    "rows": len(picked),
    "needs": identity.constant("samplers/sss", "NEEDS"),
    "code": identity.code_identity("ballast/samplers/sss"),
    "modules": sorted({name.split(".")[0] for name in sys.modules}),
}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy, for a build leaves its own files beside what it builds."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(LIBRARY, folder / "scripts/ballast", ignore=shutil.ignore_patterns("__pycache__"))
    build = ["wheel", "--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, folder]
    pip(*build)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The Python of a fresh environment that has the wheel, and what it needs from this one."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin/python"
    pip("--python", python, "install", "--quiet", "--no-index", "--no-deps", wheel)
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "others.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return python


def pip(*arguments):
    done = subprocess.run([sys.executable, "-m", "pip", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def run(installed, folder, *command):
    return subprocess.run([installed, *command], cwd=folder, capture_output=True, text=True, env={"PATH": "/usr/bin"})


def test_the_wheel_has_every_file_of_the_library(wheel):
    wanted = {path for path in LIBRARY.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    found = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert found == {path.relative_to(LIBRARY.parent).as_posix() for path in wanted}


def test_a_sampler_picks_outside_the_checkout_with_the_named_packages_alone(installed, tmp_path):
    done = run(installed, tmp_path, "-W", "ignore", "-c", USE)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["home"].startswith(str(installed.parents[1])) and said["rows"] == 14
    assert said["needs"] == ["category"] and len(said["code"]) == 16
    assert CORE - {"pyyaml", "py3langid"} <= set(said["modules"])
    assert not set(said["modules"]) & {name.replace("-", "_") for name in extras()}


def test_the_command_starts_a_study_in_a_checkout_and_nowhere_else(installed, tmp_path):
    command = installed.with_name("ballast")
    assert "init" in run(command, tmp_path, "--help").stdout
    done = run(command, tmp_path, "init", "my-study")
    assert done.returncode == 1 and "so run this in one" in done.stderr and len(done.stderr.splitlines()) == 1
    shutil.copytree(ROOT / "config", tmp_path / "config")
    done = run(command, tmp_path, "init", "my-study")
    assert done.returncode == 0, done.stderr
    assert "extends: standard.yaml" in (tmp_path / "config/my-study.yaml").read_text()


def test_the_package_needs_little_and_its_extras_name_what_the_pinned_environment_has():
    needed = {re.match(r"[\w.-]+", line)[0] for line in PROJECT["dependencies"]}
    assert needed == CORE
    assert needed | extras() == pinned("run.in") and extras("test") < pinned("dev.in")


def pinned(file):
    return {name.lower() for name in re.findall(r"(?m)^([\w.-]+)==", (ROOT / "envs" / file).read_text())}


def extras(*names):
    """Names of the packages that extras bring; by default those of a study."""
    lines = [line for name in names or ("embed", "study") for line in PROJECT["optional-dependencies"][name]]
    return {re.match(r"[\w.-]+", line)[0].lower() for line in lines} - {PROJECT["name"]}
