"""The report: metrics of each model on each slice, intervals of the differences, and leaks."""

from datetime import datetime
from pathlib import Path

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from recsys.errors import ArtifactMissing
from recsys.evaluation.provenance import TrainedOn
from recsys.ranking.intervals import Interval
from recsys.storage.atomic import write_document

CHAMPION = "champion"
CHALLENGER = "challenger"
GROUP = "group "
"""Before the name of a group of `evaluate.groups`."""


class Finding(BaseModel):
    """Leaks of one kind."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    """Name of the check, such as cold-item-in-training."""
    n: int = Field(ge=1)
    """Number of such leaks."""
    words: str
    """What is wrong, for a person."""
    examples: tuple[str, ...]
    """Item ids or names of models; never users."""


class ModelScores(BaseModel):
    """One model on one slice."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metrics: dict[str, float | None]
    """`recall@20`, …, means over users; `coverage@20`, `gini@20`, `worst_decile_recall@20` over items. None where
    a metric has no value."""
    recall_by_k: dict[int, float]
    """Cutoff -> mean recall."""


class JudgedSeed(BaseModel):
    """One training of a challenger that was trained with several seeds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int
    model_hash: str = Field(validation_alias=AliasChoices("model_hash", "encoder_hash"))
    ridge_lambda: float
    """λ of its users."""


class SeedScores(BaseModel):
    """Metrics of one such training on a slice."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metrics: dict[str, float]
    """`recall@20`, …, means over users."""
    over_champion: dict[str, Interval]
    """Metric -> this training minus champion, paired over users."""


class SliceReport(BaseModel):
    """All models on one slice."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """cold, warm, head, tail or mixed."""
    n_users: int
    n_candidates: int
    n_positives: int
    models: dict[str, ModelScores]
    """`champion`, `challenger` where there is one, the floors, and the rivals; empty without users."""
    margins: dict[str, dict[str, Interval]]
    """Floor -> metric -> champion minus floor, paired over users."""
    challenger_margins: dict[str, dict[str, Interval]] = {}
    """Champion and floors -> metric -> challenger minus that model, paired over the same users. For the champion on the
    cold slice also coverage, Gini and worst decile. Empty without a challenger."""
    rival_margins: dict[str, dict[str, Interval]] = {}
    """Rival -> metric -> challenger (or champion, where there is none) minus rival. No rule of the gate reads it."""
    seeds: tuple[SeedScores, ...] = ()
    """In the order of `Report.seeds`; empty where the challenger was trained only once."""
    over_seeds: dict[str, Interval] = {}
    """Metric -> mean over seeds of training minus champion, with users and seeds resampled; empty like `seeds`."""


class ListedItem(BaseModel):
    """One item of a list."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    item_id: str
    text: str
    is_hit: bool
    """Whether the user interacted with it after the cut."""


class ExampleUser(BaseModel):
    """One user's lists of cold items by champion and challenger."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    user: str
    """The beginning of a pseudonym."""
    change: float
    """ndcg of the challenger's list minus that of the champion's."""
    history: tuple[str, ...]
    """Texts of items that the user interacted with before the cut."""
    champion: tuple[ListedItem, ...]
    challenger: tuple[ListedItem, ...]


class MovedItem(BaseModel):
    """A cold item that the challenger shows to more, or to fewer, of its users."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    item_id: str
    text: str
    n_relevant: int = Field(validation_alias=AliasChoices("n_relevant", "n_wanted"))
    """Test users who interacted with it after the cut."""
    n_champion: int
    """Users among them to whom the champion shows it."""
    n_challenger: int


class Perturbed(BaseModel):
    """One model on lists of cold items with perturbed texts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    clean: dict[str, float]
    """`recall@20`, …, means over users, by the items' own texts."""
    perturbed: dict[str, float]
    """The same where texts are perturbed."""
    change: dict[str, Interval]
    """Metric -> perturbed minus own, paired over users."""
    places_before: float | None = None
    """Mean places of a list that the items to be perturbed take with their own texts; None if all are perturbed."""
    places_won: Interval | None = None
    """How many more they take with perturbed texts, paired over users."""


class Robustness(BaseModel):
    """How one kind of perturbed texts changes lists of cold items, see `evaluation.robustness`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    """A name in `perturbing.PERTURBATIONS`."""
    n_users: int
    n_candidates: int
    n_perturbed: int
    """Candidates with a perturbed text."""
    models: dict[str, Perturbed]
    """`champion`, and `challenger` where there is one."""
    over_champion: dict[str, Interval] = {}
    """Metric -> challenger minus champion, both by perturbed texts, paired over users."""
    places_over_champion: Interval | None = None
    """Places that perturbed items win in the challenger's lists minus those in the champion's, paired over users."""


class Comparison(BaseModel):
    """Examples of the difference between challenger and champion on cold items, for people."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    examples: tuple[ExampleUser, ...]
    """Users who gained most, then users who lost most."""
    won: tuple[MovedItem, ...]
    lost: tuple[MovedItem, ...]


class Report(BaseModel):
    """The result of stage `evaluate`, which the gate reads. Files of format 1, with older names, are read too."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = 2
    model_hash: str = Field(validation_alias=AliasChoices("model_hash", "encoder_hash"))
    """The champion's."""
    challenger_hash: str | None = None
    """None: there was no challenger."""
    ridge_lambda: float
    """λ of the champion's users."""
    challenger_lambda: float | None = None
    prior_weights: dict[str, float] = {}
    """`champion`, `challenger` -> weight of their users' prior; of models that have one."""
    view_weights: dict[str, dict[str, float]] = {}
    """`champion`, `challenger` -> view -> its weight in the head's kernel; of models whose head joins views."""
    seeds: tuple[JudgedSeed, ...] = ()
    """The challenger, then its siblings; empty where it was trained only once."""
    k: int
    split_by: str
    cut: datetime | None
    n_train_pairs: int
    holdout: TrainedOn = TrainedOn()
    """Identity of the holdout: what a model trained on its training side would have."""
    trained: dict[str, TrainedOn] = {}
    """`champion`, `challenger` -> what that model was trained on."""
    contaminated: dict[str, str] = Field({}, validation_alias=AliasChoices("contaminated", "seen"))
    """`champion`, `challenger` -> why that model may have been trained on test data; empty where neither was."""
    left_out: dict[str, int]
    """Reason -> number of items that are not judged."""
    slices: tuple[SliceReport, ...]
    groups: tuple[SliceReport, ...] = ()
    """Mixed lists of groups of users, see `evaluation.groups`; empty in reports from before there were any."""
    robustness: tuple[Robustness, ...] = ()
    """Lists by perturbed texts, see `evaluate.robustness`; empty where that is off, or nobody could be judged."""
    leaks: tuple[Finding, ...]
    comparison: Comparison | None = None
    """None without a challenger, or without relevant cold items."""

    def slice(self, name: str) -> SliceReport | None:
        """The slice of that name, or None."""
        return next((one for one in self.slices if one.name == name), None)

    def seeds_on(self, part: SliceReport) -> list[tuple[JudgedSeed, SeedScores]]:
        """Each training with its metrics on the slice; empty where there is only one training, or no user."""
        return list(zip(self.seeds, part.seeds, strict=True)) if part.seeds else []

    def flat_metrics(self) -> dict[str, float | None]:
        """All metrics: `cold/recall@20` is the champion's; others have prefixes such as `floors/random/`."""
        places = {CHAMPION: "", CHALLENGER: f"{CHALLENGER}/"}
        rivals = {rival: f"rivals/{rival}/" for part in self.slices for rival in part.rival_margins}
        return (
            {
                f"{(places | rivals).get(model, f'floors/{model}/')}{part.name}/{metric}": value
                for part in self.slices
                for model, scores in part.models.items()
                for metric, value in scores.metrics.items()
            }
            | {
                f"{'' if model == CHAMPION else places[model]}groups/{part.name}/{metric}": value
                for part in self.groups
                for model in (CHAMPION, CHALLENGER)
                if model in part.models
                for metric, value in part.models[model].metrics.items()
            }
            | {
                f"{'' if model == CHAMPION else places[model]}robustness/{one.kind}/{metric}": value
                for one in self.robustness
                for model, scores in one.models.items()
                for metric, value in scores.perturbed.items()
            }
            | {
                f"seeds/{trained.seed}/{part.name}/{metric}": value
                for part in self.slices
                for trained, of_seed in self.seeds_on(part)
                for metric, value in of_seed.metrics.items()
            }
        )

    def save(self, path: Path) -> None:
        """Write as JSON, whole. Priors, views and robustness are left out where there are none, as in older reports."""
        unused = {name for name in ("prior_weights", "view_weights", "robustness") if not getattr(self, name)}
        write_document(path, self, indent=2, exclude=unused)

    @classmethod
    def load(cls, path: Path) -> "Report":
        """Read report.json.

        Args:
            path: where it lies.

        Returns:
            The report.

        Raises:
            ArtifactMissing: stage `evaluate` has not run.
        """
        if not path.is_file():
            raise ArtifactMissing(f"{path} does not exist", remedy="run: dvc repro evaluate")
        return cls.model_validate_json(path.read_text())
