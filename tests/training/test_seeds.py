"""What trainings write, also as older versions wrote it."""

from recsys.training.params import FinetuneParams
from recsys.training.seeds import LIST, SEEDS, TrainedSeed, TrainedSeeds
from tests.training.tastes import params


def test_seeds_are_read_as_they_were_saved_and_under_the_name_of_older_versions(tmp_path):
    seeds = TrainedSeeds(seeds=tuple(TrainedSeed(seed=n, model_hash=f"{n}" * 64) for n in (1, 2)))
    seeds.save(tmp_path)
    path = tmp_path / SEEDS / LIST
    assert '"model_hash"' in path.read_text() and TrainedSeeds.load(tmp_path) == seeds
    path.write_text(path.read_text().replace('"model_hash"', '"encoder_hash"'))
    assert TrainedSeeds.load(tmp_path) == seeds


def test_the_parameters_in_a_summary_of_an_older_version_are_read():
    older = params(co_occurrence_weight=0.25).model_dump()
    older["together_weight"] = older.pop("co_occurrence_weight")
    assert FinetuneParams.model_validate(older).co_occurrence_weight == 0.25
