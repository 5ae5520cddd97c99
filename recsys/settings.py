"""params.yaml -> one frozen Settings; composes the rooms' own Params and adds none."""

import sysconfig
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from recsys.catalogue.folding import folded
from recsys.catalogue.params import (
    ArrivalsParams,
    CompactParams,
    FeedbackParams,
    IngestParams,
    SplitParams,
    WeightingParams,
)
from recsys.dataset.trait_names import AGE, RELATIONS, TAGS
from recsys.encoders.params import EncoderParams, FirstLightParams
from recsys.errors import ConfigError
from recsys.evaluation.params import EvaluateParams
from recsys.features.params import FeaturesParams, RelationsParams
from recsys.gate.params import GateParams
from recsys.heads.params import FusionParams
from recsys.images.params import ImagesParams
from recsys.monitoring.params import MonitorParams
from recsys.profiles.params import PrivacyParams, ProfilesParams, UsersParams
from recsys.publishing.params import CollectParams, PublishParams
from recsys.ranking.params import RankerParams
from recsys.registry.params import SlowLoopParams, TasksParams
from recsys.retrieval.params import IndexParams, SearchParams
from recsys.serving.params import ServeParams
from recsys.training.params import FinetuneParams

INSTALLED = "share/firstlight/params.yaml"
"""Where an installed Firstlight keeps the params.yaml that it came with, below the environment's folder."""


LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Written in C where PyYAML has it: a tenth of the time."""


class Settings(BaseModel):
    """Everything that a person may turn, one field per section of params.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    arrivals: ArrivalsParams
    ingest: IngestParams
    feedback: FeedbackParams
    weighting: WeightingParams
    images: ImagesParams
    features: FeaturesParams
    relations: RelationsParams
    encoder: EncoderParams
    first_light: FirstLightParams
    profiles: ProfilesParams
    users: UsersParams
    privacy: PrivacyParams
    split: SplitParams
    finetune: FinetuneParams
    fusion: FusionParams
    ranker: RankerParams
    evaluate: EvaluateParams
    gate: GateParams
    tasks: TasksParams
    slow_loop: SlowLoopParams
    index: IndexParams
    search: SearchParams
    publish: PublishParams
    compact: CompactParams
    collect: CollectParams
    serve: ServeParams
    monitor: MonitorParams

    @model_validator(mode="after")
    def _releases_carry_traits(self) -> Self:
        """A ranker reads of items what a release carries of them."""
        carried = set(self.publish.attributes)
        for key, names, own in (
            ("sets", self.ranker.sets, (TAGS, RELATIONS)),
            ("numbers", self.ranker.numbers, (AGE,)),
        ):
            if missing := [name for name in names if name not in {*own, *carried}]:
                raise ValueError(
                    f"ranker.{key}: {missing[0]!r} is neither {' nor '.join(map(repr, own))} nor one of "
                    "publish.attributes: add it there too"
                )
        return self

    @model_validator(mode="after")
    def _only_likes_have_weights(self) -> Self:
        """The weight of an event is one of likes: on others it would have no effect."""
        others = {folded(one) for one in (*self.feedback.negative_events, *self.feedback.withdrawing_events)}
        for event in (event for one in self.weighting.event_weights for event in one):
            if folded(event) in others:
                raise ValueError(
                    f"weighting.event_weights: {event!r} is no like by section feedback, so it has no weight; take "
                    "it out"
                )
        return self

    @classmethod
    def load(cls, path: Path) -> "Settings":
        """Read params.yaml.

        Args:
            path: the file.

        Returns:
            The settings.

        Raises:
            ConfigError: the file is missing, is not YAML, misspells a key, lacks one or breaks a bound;
                names the key.
        """
        try:
            return cls.model_validate(yaml.load(path.read_text(encoding="utf-8"), Loader=LOADER))
        except FileNotFoundError as error:
            remedy = "run in a workspace (the folder with params.yaml) or set RECSYS_WORKSPACE"
            raise ConfigError(f"{path} does not exist", remedy=remedy) from error
        except yaml.YAMLError as error:
            raise ConfigError(f"{path} is not YAML: {error}", remedy="correct the line it names") from error
        except ValidationError as error:
            raise _explained(path, error) from error


def shipped_params(other_than: Path | None = None) -> Path:
    """The params.yaml that this version came with: beside the code in a checkout, else where it was installed."""
    beside = Path(__file__).resolve().parents[1] / "params.yaml"
    return (
        beside if beside.is_file() and beside != other_than else Path(sysconfig.get_path("data"), INSTALLED)
    )


def _explained(path: Path, error: ValidationError) -> ConfigError:
    """Name every fault; for keys that are missing show the lines to add, with the values that Firstlight comes with."""
    faults, missing, unknown = [], [], []
    for fault in error.errors():
        place = ".".join(map(str, fault["loc"]))
        if fault["type"] == "missing":
            missing.append(tuple(map(str, fault["loc"])))
            faults.append(f"{place} is missing (this version of Firstlight needs it)")
        elif fault["type"] == "extra_forbidden":
            unknown.append(place)
            faults.append(f"{place} is not a key of this version of Firstlight{_alike(fault['loc'])}")
        else:
            faults.append(f"{place}: {fault['msg']}")
    remedy = "docs/reference.md lists every key with its bounds"
    if missing:
        remedy = "\n".join([f"add to {path}:", *_lines_to_add(path, missing)])
    elif unknown:
        remedy = f"take it out of {path}, or use the version of Firstlight that the file was written for"
    return ConfigError(f"{path}: {'; '.join(faults)}", remedy=remedy)


def _alike(place: tuple[int | str, ...]) -> str:
    """A known key that this one may be a slip of, for people."""
    known: Mapping[str, Any] = Settings.model_fields
    if len(place) > 1:
        section = known.get(str(place[0]))
        known = getattr(section.annotation, "model_fields", {}) if section else {}
    near = get_close_matches(str(place[-1]), known, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _lines_to_add(path: Path, missing: Iterable[tuple[str, ...]]) -> list[str]:
    """What to write for each missing key: its section, and its line as the params.yaml of this version has it."""
    shipped = shipped_params(other_than=path.resolve())
    lines: list[str] = shipped.read_text("utf-8").splitlines() if shipped.is_file() else []
    found: list[str] = []
    for section, *key in missing:
        header = f"{section}:"
        if header not in found:
            found.append(header)
        start = next((n for n, line in enumerate(lines) if line.partition("#")[0].rstrip() == header), None)
        body: list[str] = []
        for line in lines[start + 1 :] if start is not None else []:
            if not line.startswith(" "):
                break
            body.append(line)
        shown = [line for line in body if not key or line.lstrip().startswith(f"{key[0]}:")]
        found += shown or [f"  {'.'.join(key)}: …  # docs/reference.md has its bounds"]
    return found
