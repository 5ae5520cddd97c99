"""Bring the champion into a workspace: from the registry, or, at first light, made here from the pretrained encoder."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from recsys.artifacts import Artifacts
from recsys.encoders.params import EncoderParams
from recsys.encoders.reference import REFERENCE, EncoderReference, RegistryEntry, verify_packed
from recsys.errors import ArtifactMissing, EncoderError, RegistryError, RegistryUnreachable
from recsys.evaluation.seen import TrainedOn
from recsys.registry import first_light, mlflow
from recsys.registry.first_light import Pretrained, differences, told
from recsys.registry.mlflow import RegisteredEncoder
from recsys.storage.atomic import write_whole

VERDICT = "gate/decision.json"
"""Beside a version in MLflow; `register` logs it."""


@dataclass(frozen=True)
class Fetched:
    """The champion of a workspace, and how it came there."""

    reference: EncoderReference
    how: str
    """For people: where it came from."""
    warning: str = ""
    """What a person should know: the registry is down, or params.yaml asks for another encoder."""
    trained: TrainedOn | None = None
    """What it was trained on; None where that was fetched earlier."""


def fetch_champion(
    uri: str | None,
    at: Artifacts,
    pretrained: Pretrained,
    model: str = mlflow.MODEL,
    again: bool = False,
) -> Fetched:
    """Write artifacts/champion/encoder.json and training.json (what it was trained on), its packed files in the cache.

    What is up to date is left alone.

    Args:
        uri: MLflow's address; None: no registry, the encoder is made here.
        at: the workspace.
        pretrained: used at first light, and without a registry.
        model: registered model name.
        again: make first light anew from the catalogue as it is, in place of a champion that nothing has trained.

    Returns:
        The champion, and what to tell people.

    Raises:
        RegistryError: versions exist, but none is champion; or `again`, and the champion was trained.
        RegistryUnreachable: MLflow is down and no champion was ever fetched.
        EncoderError: the encoder cannot be packed, or its files are damaged.
    """
    fetched = (
        _from_registry(uri, at, pretrained, model, again) if uri else _without_registry(at, pretrained, again)
    )
    path = at.encoder_reference(mlflow.CHAMPION)
    if fetched.trained is not None:
        fetched.trained.save(at.trained_on(mlflow.CHAMPION))
    if _saved(at) != fetched.reference:  # DVC would rerun what reads a file that was written anew
        fetched.reference.save(path)
    return fetched


def fetch_verdict(uri: str, at: Artifacts, model: str = mlflow.MODEL) -> bool:
    """Bring what the gate said about the champion when it was registered, so that a release of it carries that along.

    Args:
        uri: MLflow's address.
        at: the workspace; one that judges nothing itself.
        model: registered model name.

    Returns:
        Whether there is a verdict: none was given about an encoder that is used as it comes.

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
    if saved is None or not first_light.is_still_asked(saved, at, pretrained):
        saved = first_light.make(at, pretrained)
    how = f"MLFLOW_TRACKING_URI is not set: {told(saved, at)}, packed here"
    trained = TrainedOn(encoder_hash=saved.hash)  # no interaction taught it
    return Fetched(saved.model_copy(update={"registry": None}), how, trained=trained)


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
        how = f"first light: {told(fetched.reference, at)}, is now {_name(fetched.reference)}, champion"
        return replace(fetched, how=how)
    except RegistryUnreachable as error:
        saved = _usable(at)
        if saved is None or again:
            raise
        warning = f"using the champion fetched last, {_name(saved)}, because {error}"
        return Fetched(saved, "fetched earlier", warning)


def _bring(uri: str, champion: RegisteredEncoder, at: Artifacts, params: EncoderParams) -> Fetched:
    entry = RegistryEntry(model=champion.model, version=champion.version, run_id=champion.run_id)
    saved = _usable(at)
    if saved and saved.hash == champion.hash:
        reference, how = saved, "unchanged" if saved.registry == entry else "packed files were here already"
    elif packed := _packed(at, champion.hash):
        reference, how = packed, "packed files were here already"
    else:
        reference, how = _download(uri, champion, at.encoders), "downloaded"
    is_trained = (
        champion.trained.trained_on is not None
    )  # then its source is what training left, whatever was asked
    asked = differences(reference, params, () if is_trained else ("source",))
    warning = (
        f"params.yaml asks for another encoder ({asked}); the registry's champion counts" if asked else ""
    )
    reference = reference.model_copy(update={"registry": entry})
    return Fetched(reference, f"{_name(reference)}: {how}", warning, champion.trained)


def _download(uri: str, champion: RegisteredEncoder, encoders: Path) -> EncoderReference:
    """Bring the packed files into the cache; checked before they get their name, so no reader meets a damaged one."""
    encoders.mkdir(parents=True, exist_ok=True)
    staging = mlflow.download(uri, champion, encoders)
    try:
        reference = _checked(staging, champion)
        shutil.rmtree(encoders / champion.hash, ignore_errors=True)  # damaged, or _packed would have found it
        (staging / champion.hash).rename(encoders / champion.hash)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return reference


def _checked(staging: Path, champion: RegisteredEncoder) -> EncoderReference:
    name = f"version {champion.version} of {champion.model}"
    remedy = "register the encoder again; give the alias to another version meanwhile"
    try:
        reference = EncoderReference.load(staging / champion.hash / REFERENCE)
        if reference.hash != champion.hash:
            raise RegistryError(f"{name} is tagged {champion.hash} but holds {reference.hash}", remedy=remedy)
        verify_packed(reference, staging)
    except (ArtifactMissing, EncoderError) as error:
        raise RegistryError(f"{name} is damaged in MLflow: {error}", remedy=remedy) from error
    return reference


def _saved(at: Artifacts) -> EncoderReference | None:
    path = at.encoder_reference(mlflow.CHAMPION)
    return EncoderReference.load(path) if path.exists() else None


def _usable(at: Artifacts) -> EncoderReference | None:
    """The champion fetched last, if its packed files are whole."""
    saved = _saved(at)
    return saved if saved and _whole(saved, at) else None


def _packed(at: Artifacts, encoder_hash: str) -> EncoderReference | None:
    """The reference of a packed encoder in the cache, if its files are whole."""
    path = at.encoders / encoder_hash / REFERENCE
    if not path.exists():
        return None
    reference = EncoderReference.load(path)
    return reference if _whole(reference, at) else None


def _whole(reference: EncoderReference, at: Artifacts) -> bool:
    try:
        verify_packed(reference, at.encoders)
    except (EncoderError, ArtifactMissing):
        return False
    return True


def _name(reference: EncoderReference) -> str:
    entry = reference.registry
    return f"{entry.model} version {entry.version}" if entry else f"encoder {reference.hash[:10]}"
