"""The real walk on made-up catalogues: what is predicted from small ones is what larger ones take."""

import pytest

from recsys.artifacts import Artifacts
from recsys.planning.costs import WALK, Rates, Size
from recsys.planning.measuring import measured_rates, rates_path
from recsys.planning.planning import Shape
from recsys.planning.probing import Probe
from recsys.settings import Settings, shipped_params
from tests.encoders.models import save_model

pytestmark = pytest.mark.whole

SMALL = (
    Size(items=1_000, interactions=4_000),
    Size(items=3_000, interactions=4_000),
    Size(items=1_000, interactions=12_000),
)
LARGE = Size(items=10_000, interactions=30_000)
WIDTH = 16


@pytest.fixture(scope="module")
def chosen(tmp_path_factory):
    """The shipped settings with a small encoder and a small head."""
    settings = Settings.load(shipped_params())
    source = save_model(tmp_path_factory.mktemp("bert"))
    encoder = settings.encoder.model_copy(update={"source": str(source), "max_tokens": 60})
    first_light = settings.first_light.model_copy(update={"width": WIDTH, "max_landmarks": 200})
    return settings.model_copy(update={"encoder": encoder, "first_light": first_light})


@pytest.fixture(scope="module")
def at(tmp_path_factory):
    return Artifacts(tmp_path_factory.mktemp("workspace"))


@pytest.fixture(scope="module")
def told():
    return []


@pytest.fixture(scope="module")
def rates(chosen, at, told):
    """Measured by three catalogues of a few thousand."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recsys.planning.measuring.SIZES", SMALL)
        return measured_rates(at, chosen, told.append)


def test_bytes_of_ten_thousand_items_are_predicted_from_smaller_catalogues(rates, chosen, tmp_path):
    probe = Probe(tmp_path, chosen)
    used = probe.run(LARGE, probe.prepare(), lambda _: None)
    shape = Shape(LARGE, 14, WIDTH, 32, chosen.index.links, "float32")
    for cost in rates.stages:
        predicted = shape.array_bytes(cost.stage) + cost.table_bytes.at(LARGE)
        assert predicted == pytest.approx(used[cost.stage].written_bytes, rel=0.1, abs=20_000), cost.stage
    assert all(one.cpu_seconds > 0 and one.peak_bytes > 1e7 for one in used.values())


def test_rates_are_measured_once_and_kept(rates, chosen, at, told):
    assert rates.width == WIDTH and rates.base_width == 32 and rates.sizes == SMALL
    assert tuple(one.stage for one in rates.stages) == WALK
    n_told = len(told)
    assert measured_rates(at, chosen, told.append) == rates == Rates.load(rates_path(at, chosen))
    assert len(told) == n_told and "rates are kept in" in told[-1]
