"""Fixtures every room may use: real servers, buckets, a workspace, a clean environment."""

import gc
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import hypothesis
import pytest

from bench.postgres import postgres as start_postgres
from localplatform.processes import QUIET
from localplatform.servers import start_mlflow, start_seaweed
from recsys.artifacts import Artifacts
from recsys.cli.context import console

ROOT = Path(__file__).resolve().parent.parent
SERVERS = {"seaweed", "mlflow_server", "platform", "postgres"}
"""Fixtures that start real servers."""
GROUPS = {
    "tests/dags/": "airflow",
    "tests/registry/": "mlflow",
    "tests/cli/": "mlflow",
    "tests/effects/test_promote": "mlflow",
    "tests/demo/": "demo",  # they download into one folder
    "tests/encoders/": "encoders",  # they pack: torch, transformers and nncf take seconds to import
    "tests/contracts/test_encoders": "encoders",
    "tests/walk/test_arrive": "arrivals",  # they compare theirs with the same ones
    "tests/walk/test_two_workers": "arrivals",
    "tests/cases/test_feedback": "prepared",  # they copy one workspace with profiles
    "tests/cases/test_shipped_feedback": "prepared",
    "tests/cases/test_full_disk": "prepared",
    "tests/cases/test_troubled_s3": "prepared",
}
"""Beginning of a module's path -> group; any other module is a group of its own."""
LONGEST_FIRST = (
    "airflow",
    "mlflow",
    "encoders",
    "tests/docker/test_images.py",
    "arrivals",
    "tests/walk/test_dvc.py",
    "tests/planning/test_measuring.py",
    "tests/localplatform/test_up.py",
    "tests/stages/test_finetune.py",
    "tests/stages/test_finetune_in_ranks.py",
    "tests/training/test_ranks.py",
    "tests/walk/test_walk.py",
    "prepared",
    "demo",
)
"""Groups that workers take first, in this order."""
OURS = ("RECSYS_", "AWS_", "MLFLOW_", "AIRFLOW")
# Lets an MLflow server tell receivers on this machine; the key is a Fernet key.
MLFLOW_WEBHOOKS = {
    "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": "dGVzdHMgb25seSwgMzIgYnl0ZXMgb2YgYSBrZXkuLi4=",
    "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",
    "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
    "MLFLOW_WEBHOOK_CACHE_TTL": "1",
}

os.environ.update(QUIET)
IS_WORKER = "PYTEST_XDIST_WORKER" in os.environ
if IS_WORKER:  # all cores are busy: threads within a worker would only get in the way
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# A test kills processes, never the machine: what is written lies in the kernel's memory and needs no disk to be read
# again. Waiting for the disk was a seventh of the time of quick tests. Processes that tests start do wait for it.
os.fsync = lambda handle: os.fstat(handle if isinstance(handle, int) else handle.fileno()) and None
gc.disable()  # until all tests are collected: see pytest_collection_finish
hypothesis.settings.register_profile("firstlight", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("firstlight")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that need servers, and let workers take the longest groups first."""
    for item in items:
        if set(getattr(item, "fixturenames", ())) & SERVERS:
            item.add_marker(pytest.mark.servers)
    if IS_WORKER:
        order = {name: place for place, name in enumerate(LONGEST_FIRST)}
        items.sort(key=lambda item: order.get(group_of(item.nodeid), len(order)))


def pytest_collection_finish() -> None:
    """Collect garbage from here on, but leave out what importing the tests has left in memory.

    That is a million objects, which stay. Looking through them took a quarter of the CPU time of collecting the tests,
    and a tenth of that of quick ones.
    """
    gc.freeze()
    # So many new objects; after 700, the default, it would look through those of a test again and again.
    gc.set_threshold(20_000)
    gc.enable()


def group_of(nodeid: str) -> str:
    """The tests that share a worker where several run: a module, or modules that share a server or a folder.

    A worker has its own session: what tests share is started once where the tests that share it stay together.
    """
    module = nodeid.partition("::")[0]
    return next((group for begin, group in GROUPS.items() if module.startswith(begin)), module)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """A worker for each core, and one more: tests of servers mostly wait for them."""
    return len(os.sched_getaffinity(0)) + 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Send groups of tests to workers (`--dist loadgroup` of pytest-xdist 3.8 knows no group under pytest 9.2)."""
    from xdist.scheduler import LoadScopeScheduling

    class LoadGroups(LoadScopeScheduling):  # type: ignore[misc]  # xdist's classes are not typed here
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return LoadGroups(config, log)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No address or secret of the developer's shell reaches a test."""
    for variable in list(os.environ):
        if variable.startswith(OURS) and variable not in QUIET:
            monkeypatch.delenv(variable)
    console.cache_clear()  # rich keeps the COLUMNS that it found first


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this run that all of its workers share; who makes something there holds a lock."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if IS_WORKER else base


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A real S3 server; yields AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_DEFAULT_REGION."""
    with start_seaweed(tmp_path_factory.mktemp("seaweed")) as server:
        yield server.environment


@pytest.fixture
def new_bucket(seaweed: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """Makes fresh buckets; the environment leads to the server."""
    import boto3

    for variable, value in seaweed.items():
        monkeypatch.setenv(variable, value)
    client = boto3.session.Session().client("s3")

    def make() -> str:
        name = f"test-{uuid4().hex[:12]}"
        client.create_bucket(Bucket=name)
        return name

    return make


@pytest.fixture
def bucket(new_bucket: Callable[[], str]) -> str:
    """The name of a fresh bucket; the environment leads to its server."""
    return new_bucket()


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real MLflow server with a fresh registry; yields its address."""
    with start_mlflow(tmp_path_factory.mktemp("mlflow"), environment=MLFLOW_WEBHOOKS) as server:
        yield server.url


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A real Postgres; yields the URL of its database."""
    with start_postgres() as url:
        yield url


@pytest.fixture
def workspace(tmp_path: Path) -> Artifacts:
    """An empty workspace: params.yaml and dvc.yaml, nothing accepted yet."""
    root = tmp_path / "workspace"
    root.mkdir()
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copyfile(ROOT / name, root / name)
    return Artifacts(root)


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for encoder.source: a real encoder, as small as one can be (width 16, random weights, letters)."""
    import torch
    from safetensors.torch import save_file
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("tiny-encoder")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefghijklmnopqrstuvwxyz"]
    words += [f"##{letter}" for letter in words[4:]]
    tokenizer = Tokenizer(models.WordPiece({word: n for n, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        architectures=["BertModel"],
    )
    model = BertModel(config, add_pooling_layer=False)
    config.save_pretrained(folder)
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    return folder
