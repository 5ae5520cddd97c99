"""The images, as far as they can be tried without a Docker engine: their install lines run in a fresh environment."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
IMAGES = ("airflow", "train", "serve")
RELEASE = ROOT / "tests/fixtures/releases/6/store"
READ = """
import sys
from recsys import Release
release = Release.open(sys.argv[1])
user = release.users[0]
assert len(release.recommend(pseudonym=user, k=5)) == len(release.search("<b>ban</b> &amp; bel", 5)) == 5
print("read")
"""


@dataclass(frozen=True)
class Instruction:
    """One instruction of a Dockerfile, continuation lines joined."""

    word: str
    rest: str


def instructions(image: str) -> list[Instruction]:
    text = (ROOT / "docker" / f"{image}.Dockerfile").read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [Instruction(*line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


def only(image: str, word: str) -> list[str]:
    return [found.rest for found in instructions(image) if found.word == word]


def variables(image: str) -> Iterator[tuple[str, str]]:
    for found in instructions(image):
        if found.word in ("ARG", "ENV"):
            yield from re.findall(r"(\w+)=(\S*)", found.rest)


def install(image: str, base: Path) -> dict[str, str]:
    """Follow COPY and the RUN lines that install, with /opt below `base`; gives the environment of the entry point.

    What differs from a build: packages may come from uv's cache, and from where this machine's pip looks first. Their
    bytecode is not compiled, which would take most of the time.
    """
    environment = {name: os.environ[name] for name in ("HOME", "SSL_CERT_FILE") if name in os.environ}
    environment |= {name: inside(value, base) for name, value in variables(image)}
    environment["PATH"] += os.pathsep + str(BIN)
    environment |= {
        "UV_LINK_MODE": "hardlink",
        "UV_COMPILE_BYTECODE": "0",
        "UV_PYTHON_DOWNLOADS": "never",
        "TORCH_INDEX": "https://pypi.org/simple",
    }
    if links := os.environ.get("PIP_FIND_LINKS"):
        environment.setdefault("UV_FIND_LINKS", links)
    for found in instructions(image):
        if found.word == "COPY" and "--from=" not in found.rest:
            *sources, target = found.rest.split()
            for source in sources:
                copy(ROOT / source, Path(inside(target, base)), into_folder=target.endswith("/"))
        if found.word == "RUN" and "uv " in found.rest:
            command = inside(found.rest, base).replace("--no-cache ", "")
            done = subprocess.run(
                ["bash", "-euc", command],
                env=environment,
                cwd=base,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{command}\n{done.stderr}"
    environment["PATH"] = environment["PATH"].removesuffix(os.pathsep + str(BIN))
    return environment


def inside(text: str, base: Path) -> str:
    return re.sub(r"(?<![\w.])/opt/", f"{base}/opt/", text)


def copy(source: Path, target: Path, *, into_folder: bool) -> None:
    target = target / source.name if into_folder else target
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copyfile(source, target)


def run(environment: dict[str, str], base: Path, *command: str) -> str:
    """Run a command of the image; it must find nothing of this checkout."""
    workspace = base / "workspace"
    workspace.mkdir(exist_ok=True)
    here = {"RECSYS_WORKSPACE": str(workspace), "HOME": str(workspace)}
    done = subprocess.run(
        command, env=environment | here, cwd=workspace, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.whole
def test_the_reader_installs_and_its_commands_load_without_what_makes_releases(tmp_path):
    environment = install("serve", tmp_path)
    (entry,) = only("serve", "ENTRYPOINT")
    python, *rest = (word.strip('" ') for word in entry.strip("[]").split(","))
    program = tmp_path / "opt/venv/bin" / python
    for command in ("recommend", "similar", "export", "trace", "status"):
        assert "Usage:" in run(environment, tmp_path, str(program), *rest, command, "--help")
    shutil.copytree(RELEASE, tmp_path / "store")
    assert "read" in run(environment, tmp_path, str(program), "-c", READ, str(tmp_path / "store"))
    for heavy in ("torch", "airflow", "mlflow", "dvc", "great_expectations", "pandas"):
        done = subprocess.run(
            [program, "-c", f"import {heavy}"], env=environment, capture_output=True, check=False
        )
        assert done.returncode != 0, f"{heavy} is in the reader's image"
    shown = (
        tmp_path / "opt/venv/share/firstlight/params.yaml"
    )  # a workspace that lacks a key is shown its line
    assert shown.read_text("utf-8") == (ROOT / "params.yaml").read_text("utf-8")
    size_mb = sum(path.stat().st_size for path in (tmp_path / "opt").rglob("*") if path.is_file()) / 2**20
    assert size_mb < 850  # pyarrow, openvino and scipy are half of it


@pytest.mark.whole
@pytest.mark.parametrize("image", ["airflow", pytest.param("train", marks=pytest.mark.slow)])
def test_airflows_images_install_and_read_the_dags(image, tmp_path):
    environment = install(image, tmp_path)
    environment |= {"AIRFLOW_HOME": str(tmp_path / "airflow")}
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    shutil.copyfile(tmp_path / "opt/firstlight/params.yaml", workspace / "params.yaml")
    program = str(tmp_path / "opt/venv/bin/python")
    read = (
        "import torch, openvino, faiss, recsys.cli\n"
        "from airflow.dag_processing.dagbag import DagBag\n"
        "from airflow.configuration import conf\n"
        "bag = DagBag(conf.get('core', 'dags_folder'))\n"
        "assert not bag.import_errors, bag.import_errors\n"
        "print(sorted(bag.dags), recsys.__file__)"
    )
    output = run(environment, tmp_path, program, "-c", read).splitlines()[-1]
    dags = (
        "['profile_arrivals', 'publish_champion', 'rollback_release', 'train_challenger', 'train_when_due', "
        "'watch_catalogue']"
    )
    assert output.startswith(dags) and str(tmp_path) in output
    (entry,) = only(image, "ENTRYPOINT")
    assert entry == '["bash", "/opt/firstlight/enter.sh"]' and (tmp_path / "opt/venv/bin/airflow").exists()


@pytest.mark.parametrize("image", IMAGES)
def test_hadolint_finds_nothing(image):
    done = subprocess.run(
        [BIN / "hadolint", ROOT / "docker" / f"{image}.Dockerfile"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("image", IMAGES)
def test_images_are_pinned_and_run_as_nobody_special(image):
    chosen = dict(re.findall(r"(\w+_IMAGE)=(\S+)", " ".join(only(image, "ARG"))))
    bases = [line.partition(" ")[0] for line in only(image, "FROM")]
    assert bases == [
        f"${{{name}}}" for name in ("UV_IMAGE", "CUDA_IMAGE" if image == "train" else "PYTHON_IMAGE")
    ]
    for base in bases:
        pinned = r"\S+:\d+\.\d+\.\d+(-\S+)?@sha256:[0-9a-f]{64}"
        assert re.fullmatch(pinned, chosen[base.strip("${}")]), f"{base} is not pinned"
    assert re.findall(r"--from=(\S+)", " ".join(only(image, "COPY"))) == ["uv"]  # the stage above
    assert only(image, "USER") == ["50000"]
    words = [found.word for found in instructions(image)]
    assert words.index("USER") < words.index("ENTRYPOINT")


@pytest.mark.parametrize("image", IMAGES)
def test_what_is_copied_is_committed_and_let_through(image):
    let_through = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    for copied in only(image, "COPY"):
        if "--from=" in copied:
            continue
        for source in copied.split()[:-1]:
            assert f"!{source}" in let_through
            listed = subprocess.run(
                ["git", "ls-files", source], cwd=ROOT, capture_output=True, text=True, check=True
            )
            assert listed.stdout, f"{source} is not committed"


def pinned(lock: str) -> dict[str, tuple[str, set[str]]]:
    """Package -> version and hashes."""
    joined = (ROOT / lock).read_text("utf-8").replace("\\\n", " ")
    found = {}
    for line in joined.splitlines():
        name, _, rest = line.partition("==")
        version, *hashes = rest.split()
        found[name] = (version, {one for one in hashes if re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", one)})
    return found


@pytest.mark.parametrize("lock", ["requirements.lock", "docker/serve.lock"])
def test_every_package_is_pinned_with_its_hashes(lock):
    assert not [name for name, (version, hashes) in pinned(lock).items() if not (version and hashes)]


def asked_for(*extras: str) -> set[str]:
    """Names of what `pip install .`, or `.[extras]`, asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lists = [project["dependencies"], *(project["optional-dependencies"][one] for one in extras)]
    return {re.split(r"[\[<>=]", one)[0].lower() for some in lists for one in some}


def test_the_readers_packages_are_those_of_pip_install_with_the_versions_of_the_lock():
    whole, readers = pinned("requirements.lock"), pinned("docker/serve.lock")
    assert asked_for("serve") | {"setuptools"} <= set(readers)
    assert not {"torch", "apache-airflow", "mlflow", "dvc", "great-expectations"} & set(readers)
    assert {name: version for name, (version, _) in readers.items()} == {
        name: whole[name][0] for name in readers
    }


def test_every_requirement_is_pinned():
    assert asked_for("serve", "train", "platform", "dev") - {"torch"} <= set(pinned("requirements.lock"))


def test_hashes_are_demanded_wherever_a_lock_is_installed():
    places = ["Makefile", *(f"docker/{image}.Dockerfile" for image in IMAGES)]
    lines = [line for place in places for line in (ROOT / place).read_text("utf-8").splitlines()]
    installed = [line for line in lines if re.search(r"-r \S*\.lock", line)]
    assert len(installed) == len(places)
    assert all("--require-hashes" in line for line in installed)


def test_torch_has_one_version_everywhere():
    versions = set()
    for path in (ROOT / "Makefile", ROOT / "docker/airflow.Dockerfile", ROOT / "docker/train.Dockerfile"):
        versions |= set(re.findall(r"torch==([\d.]+)", path.read_text("utf-8")))
    assert len(versions) == 1
