"""artifacts/finetune/seeds/seeds.json, also as older versions wrote it."""

from recsys.training.seeds import LIST, SEEDS, TrainedSeed, TrainedSeeds


def test_seeds_are_read_as_they_were_saved_and_under_the_name_of_older_versions(tmp_path):
    seeds = TrainedSeeds(seeds=tuple(TrainedSeed(seed=n, model_hash=f"{n}" * 64) for n in (1, 2)))
    seeds.save(tmp_path)
    path = tmp_path / SEEDS / LIST
    assert '"model_hash"' in path.read_text() and TrainedSeeds.load(tmp_path) == seeds
    path.write_text(path.read_text().replace('"model_hash"', '"encoder_hash"'))
    assert TrainedSeeds.load(tmp_path) == seeds
