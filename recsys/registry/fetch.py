"""Bring the champion into a workspace: from the registry, or at first light made here from the pretrained encoder."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from recsys.artifacts import Artifacts
from recsys.encoders.params import EncoderParams
from recsys.errors import ArtifactMissing, EncoderError, RegistryError, RegistryUnreachable
from recsys.evaluation.provenance import TrainedOn
from recsys.models.packed import find_model, is_whole, take_in
from recsys.models.reference import REFERENCE, ModelReference, RegistryEntry
from recsys.registry import first_light, mlflow
from recsys.registry.first_light import Pretrained, description, differences
from recsys.registry.mlflow import RegisteredVersion
from recsys.storage.atomic import write_whole

VERDICT = "gate/decision.json"
"""Artifact of a version in MLflow, logged by `register`."""


@dataclass(frozen=True)
class Fetched:
    """The champion of a workspace, and where it came from."""

    model: ModelReference
    how: str
    """Where it came from, for people."""
    warning: str = ""
    """What a person should know: the registry is down, or params.yaml names another encoder."""
    trained: TrainedOn | None = None
    """What it was trained on; None where this is on disk already."""
    is_first_light: bool = False
    """Whether it was made just now from the pretrained encoder."""


def fetch_champion(
    uri: str | None,
    at: Artifacts,
    pretrained: Pretrained,
    model: str = mlflow.MODEL,
    again: bool = False,
) -> Fetched:
    """Write artifacts/champion/model.json and training.json (what it was trained on), and its files to the cache.

    Files that are up to date are left alone.

    Args:
        uri: MLflow's address; None: no registry, the encoder is made here.
        at: the workspace.
        pretrained: used at first light, and without a registry.
        model: registered model name.
        again: make first light anew from today's catalogue, in place of a champion that was never trained.

    Returns:
        The champion, and what people should know.

    Raises:
        RegistryError: versions exist, but none is champion; or `again`, and the champion was trained.
        RegistryUnreachable: MLflow is down and no champion was ever fetched.
        EncoderError: the encoder cannot be packed, or its files are damaged.
    """
    fetched = (
        _from_registry(uri, at, pretrained, model, again) if uri else _without_registry(at, pretrained, again)
    )
    path = at.model_reference(mlflow.CHAMPION)
    if fetched.trained is not None:
        fetched.trained.save(at.trained_on(mlflow.CHAMPION))
    if (
        not path.exists() or _saved(at) != fetched.model
    ):  # DVC would rerun the stages that read a rewritten file
        fetched.model.save(path)
    return fetched


def fetch_verdict(uri: str, at: Artifacts, model: str = mlflow.MODEL) -> bool:
    """Bring the gate's decision about the champion, so that a release with this champion contains it.

    Args:
        uri: MLflow's address.
        at: a workspace that does not judge models itself.
        model: registered model name.

    Returns:
        Whether there is a decision. There is none for a model that was never trained.

    Raises:
        RegistryUnreachable: MLflow is out of reach or refuses.
    """
    champion = mlflow.champion(uri, model)
    verdict = mlflow.read_file(uri, champion, VERDICT) if champion else None
    if verdict is None:
        at.decision.unlink(missing_ok=True)
        return False
    write_whole(at.decision, verdict)
    return True


def _without_registry(at: Artifacts, pretrained: Pretrained, again: bool) -> Fetched:
    saved = None if again else _usable(at)
    is_new = saved is None or not first_light.is_still_wanted(saved, at, pretrained)
    if saved is None or is_new:
        saved = first_light.make(at, pretrained)
    how = f"MLFLOW_TRACKING_URI is not set: {description(saved, at)}, packed here"
    trained = TrainedOn(model_hash=saved.hash)  # it was learned without interactions
    return Fetched(saved.model_copy(update={"registry": None}), how, trained=trained, is_first_light=is_new)


def _from_registry(uri: str, at: Artifacts, pretrained: Pretrained, model: str, again: bool) -> Fetched:
    try:
        found = mlflow.champion(uri, model)
        if found and not again:
            return _bring(uri, found, at, pretrained.params)
        if found:
            version = first_light.register_again(uri, at, pretrained, found)
        else:
            version = first_light.register(uri, at, pretrained, model)
        fetched = _bring(uri, version, at, pretrained.params)
        how = f"first light: {description(fetched.model, at)}, is now {_name(fetched.model)}, champion"
        return replace(fetched, how=how, is_first_light=True)
    except RegistryUnreachable as error:
        saved = _usable(at)
        if saved is None or again:
            raise
        warning = f"using the champion fetched last, {_name(saved)}, because {error}"
        return Fetched(saved, "fetched earlier", warning)


def _bring(uri: str, champion: RegisteredVersion, at: Artifacts, params: EncoderParams) -> Fetched:
    entry = RegistryEntry(model=champion.model, version=champion.version, run_id=champion.run_id)
    saved = _usable(at)
    if saved and saved.hash == champion.hash:
        model, how = saved, "unchanged" if saved.registry == entry else "packed files were here already"
    elif packed := find_model(champion.hash, at.cache):
        model, how = packed, "packed files were here already"
    else:
        model, how = _download(uri, champion, at.cache), "downloaded"
    is_trained = (
        champion.trained.trained_on is not None
    )  # then its source is the output of training, not a key of params.yaml
    different = differences(model, params, () if is_trained else ("source",))
    warning = (
        f"params.yaml names another encoder ({different}); the registry's champion counts"
        if different
        else ""
    )
    model = model.model_copy(update={"registry": entry})
    return Fetched(model, f"{_name(model)}: {how}", warning, champion.trained)


def _download(uri: str, champion: RegisteredVersion, cache: Path) -> ModelReference:
    """Download the files of all parts into the cache. They are checked before they get their names."""
    name = f"version {champion.version} of {champion.model}"
    remedy = "register the model again; give the alias to another version meanwhile"
    staging = mlflow.download(uri, champion, cache / "encoders")
    try:
        found = ModelReference.load(staging / champion.folder / REFERENCE)
        if found.hash != champion.hash:
            raise RegistryError(f"{name} is tagged {champion.hash} but holds {found.hash}", remedy=remedy)
        return take_in(staging / champion.folder, cache)
    except (ArtifactMissing, EncoderError) as error:
        raise RegistryError(f"{name} is damaged in MLflow: {error}", remedy=remedy) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _saved(at: Artifacts) -> ModelReference | None:
    """The champion fetched last; None where there is none, or where its reference is damaged."""
    try:
        return ModelReference.load(at.model_reference(mlflow.CHAMPION))
    except (ArtifactMissing, EncoderError):
        return None


def _usable(at: Artifacts) -> ModelReference | None:
    """The champion fetched last, if all of its files are undamaged."""
    saved = _saved(at)
    return saved if saved and is_whole(saved, at.cache) else None


def _name(model: ModelReference) -> str:
    entry = model.registry
    return f"{entry.model} version {entry.version}" if entry else f"model {model.hash[:10]}"
