"""params.yaml -> one frozen Settings; composes the rooms' own Params and adds none."""

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from recsys.catalogue.params import ArrivalsParams, CompactParams, FeedbackParams, IngestParams, SplitParams
from recsys.encoders.params import EncoderParams
from recsys.errors import ConfigError
from recsys.evaluation.params import EvaluateParams
from recsys.features.params import FeaturesParams
from recsys.fusion.params import FusionParams
from recsys.gate.params import GateParams
from recsys.profiles.params import ProfilesParams, UsersParams
from recsys.publishing.params import CollectParams, PublishParams
from recsys.registry.params import SlowLoopParams
from recsys.retrieval.params import IndexParams
from recsys.training.params import FinetuneParams


class Settings(BaseModel):
    """Everything that a person may turn, one field per section of params.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    arrivals: ArrivalsParams
    ingest: IngestParams
    feedback: FeedbackParams
    features: FeaturesParams
    encoder: EncoderParams
    profiles: ProfilesParams
    users: UsersParams
    split: SplitParams
    finetune: FinetuneParams
    fusion: FusionParams
    evaluate: EvaluateParams
    gate: GateParams
    slow_loop: SlowLoopParams
    index: IndexParams
    publish: PublishParams
    compact: CompactParams
    collect: CollectParams

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
            return cls.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        except FileNotFoundError as error:
            remedy = "run in a workspace (the folder with params.yaml) or set RECSYS_WORKSPACE"
            raise ConfigError(f"{path} does not exist", remedy=remedy) from error
        except yaml.YAMLError as error:
            raise ConfigError(f"{path} is not YAML: {error}", remedy="mend the line it names") from error
        except ValidationError as error:
            faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise ConfigError(
                f"{path}: {faults}", remedy="docs/reference.md lists every key with its bounds"
            ) from error
