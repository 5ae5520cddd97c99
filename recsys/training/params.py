"""Parameters of fine-tuning. Values live in params.yaml."""

from typing import Literal, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

CHOOSES_ITEMS = {"popularity_power": 0, "hard_share": 0, "hard_quantile": 1}
"""Parameters that influence which items a batch has, with the values that have no influence."""
UNDRAWN = {
    "trials", "seed", "seeds", "checkpoint_steps", "epochs", "patience", "k", "validation_share",
    "max_validation_users", "encode_tokens", "processes",
}  # fmt: skip
"""Numbers that trials do not draw: they would change how trials are compared, or nothing."""


class FinetuneParams(BaseModel):
    """Section `finetune`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    roles: tuple[Literal["challenger"], ...]
    """[challenger] in a workspace that trains: dvc.yaml then has stage `finetune`; [] elsewhere."""
    objective: Literal["ridge", "mean", "pairs", "texts", "distill"]
    """What training learns from. The first three objectives learn from interactions, and differ in how the loss
    represents a user. ridge: by closed-form ridge regression over the latest profiles of the user's other items; mean:
    by their mean; pairs: not at all, items of the same history are positive pairs. The others learn from texts alone.
    texts: two dropout draws of one text are a positive pair (SimCSE). distill: a student with fewer layers learns to
    give the vectors of the champion's encoder."""
    layers: Literal["top", "all", "lora", "none"]
    """What is trained. top: the top layers, over cached activations of the others; all: all layers; lora: LoRA
    adapters; none: no layer, only head and ranker (section `fusion`)."""
    start: Literal["pretrained", "champion"]
    """What training begins from. pretrained: `encoder.source`. champion: the champion's weights, where the champion
    cannot know the test data of this holdout; otherwise `encoder.source`, and the summary says why."""
    pull: float = Field(ge=0)
    """Weight of the mean squared distance to the champion's vectors of the same texts. It is added to the objective's
    loss, so that training forgets less; 0: none. Also none where the champion may know the test data."""
    top_layers: int = Field(ge=1)
    """Number of layers that `layers: top` trains."""
    lora_rank: int = Field(ge=1)
    """Rank of the adapters that `layers: lora` trains."""
    student_layers: int = Field(ge=1)
    """Objective distill: layers of the student: the first and the last of `encoder.source`, the others evenly between;
    if it has one layer, the first."""
    student_texts: int = Field(ge=0)
    """Objective distill: where there are fewer texts, sentences and windows of words of them are added until there are
    this many. The teacher encodes them all."""
    epochs: int = Field(ge=1)
    """Maximum number of epochs. An epoch visits every item about once; after each, profiles are encoded again."""
    patience: int = Field(ge=1)
    """Training stops after this many epochs without improvement on validation."""
    batch_items: int = Field(ge=2)
    """Items encoded with gradient per batch. For each user, the others of the batch are negatives."""
    batch_users: int = Field(ge=2)
    """Users per batch, sampled among those who interacted with an item of the batch."""
    accumulate: int = Field(ge=1)
    """Batches per step of the optimizer."""
    encode_tokens: int = Field(ge=16)
    """Tokens encoded at once; halved when a GPU runs out of memory."""
    grad_cache: bool
    """Encode twice instead of keeping activations. This allows larger batches, with the same gradient."""
    learning_rate: float = Field(gt=0)
    """The peak, after the warm-up."""
    warmup_share: float = Field(ge=0, le=1)
    """Share of all steps in which the learning rate rises linearly; then it falls linearly to 0."""
    weight_decay: float = Field(ge=0)
    """Weight decay of matrices; biases and norms have none."""
    max_grad_norm: float = Field(gt=0)
    """Longer gradients are scaled to this norm."""
    dropout: float = Field(ge=0, lt=1)
    """Dropout of the transformer's own dropout layers."""
    temperature: float = Field(gt=0)
    """Cosines are divided by this before the softmax."""
    popularity_power: float = Field(ge=0, le=1)
    """Items are drawn with a probability ~ (number of users) ** this; 0 draws each once per epoch."""
    logq: float = Field(ge=0, le=1)
    """Share of log(probability to be in the batch) that is subtracted from an item's score; no effect where
    popularity_power is 0."""
    item_side: float = Field(ge=0)
    """Weight of the softmax over users for each item, added to that over items for each user; for objective pairs, of
    the softmax over anchors."""
    co_occurrence_weight: float = Field(
        ge=0, validation_alias=AliasChoices("co_occurrence_weight", "together_weight")
    )  # the second: in params.yaml and summary.json of older versions
    """Weight of the loss on pairs of items that share users; 0: none."""
    hard_share: float = Field(ge=0, le=0.75)
    """Share of a batch that is mined: items whose last profiles are near others of the batch."""
    hard_quantile: float = Field(gt=0, le=1)
    """An item is not a negative if it is nearer to a positive of the batch than this quantile of all items; 1: no
    limit."""
    word_dropout: float = Field(ge=0, lt=1)
    """Probability of each token to be left out in a step; at least one per text stays."""
    field_dropout: float = Field(ge=0, lt=1)
    """Probability that a step uses a text without one of its fields."""
    adversarial_epsilon: float = Field(ge=0)
    """Length of an adversarial perturbation for a second pass, relative to the text's embeddings; 0: no second pass."""
    processes: int = Field(ge=1)
    """Processes of this machine that train together, with a GPU each where there are GPUs. The batches are the same for
    any number. If torchrun has started the stage, for example on several machines, its number of processes is used."""
    precision: Literal["float32", "bfloat16", "float16"]
    """Autocast on CUDA; a CPU always computes in float32."""
    validation_share: float = Field(gt=0, lt=1)
    """Share of the training items that is held out cold, to decide when to stop."""
    max_validation_users: int = Field(ge=1)
    """The most users in a validation; a sample where there are more."""
    k: int = Field(ge=1)
    """Cutoff of the validation's ndcg@k and recall@k."""
    checkpoint_steps: int = Field(ge=1)
    """Steps between two checkpoints; a killed run continues from the last one."""
    seed: int = Field(ge=0)
    """Seed of everything random in a training."""
    seeds: int = Field(ge=1)
    """Number of trainings, with seed, seed + 1, …. The first is the challenger; the mean of all must beat the champion
    too."""

    trials: int = Field(ge=1)
    """Number of trainings with drawn values of `trial_ranges`, of which validation chooses one; 1: only the values of
    params.yaml. They cost up to this many trainings; a trial below the median of the others ends early."""
    trial_ranges: dict[str, tuple[FiniteFloat, FiniteFloat]]
    """Parameter of this section -> lower and upper end of the values that trials draw. On a log scale where the lower
    end is above 0. The first trial has the values of params.yaml, which must lie between the ends."""

    @property
    def learns_from_texts(self) -> bool:
        """Whether the objective reads no interactions."""
        return self.objective in ("texts", "distill")

    @property
    def needs_champion(self) -> bool:
        """Whether training reads the champion: as its teacher, to continue from it, or to stay near to it."""
        return self.objective == "distill" or self.start == "champion" or self.pull > 0

    @model_validator(mode="after")
    def _check_objective(self) -> Self:
        """Refuse parameters that would have no effect on the objective's batches."""
        idle: dict[str, float] = {}
        if self.objective == "pairs":
            reason, idle = "objective pairs draws pairs of users' items", dict(CHOOSES_ITEMS)
        if self.learns_from_texts:
            reason = f"objective {self.objective} learns from texts alone"
            idle = {**CHOOSES_ITEMS, "co_occurrence_weight": 0, "field_dropout": 0}
        wrong = [f"{name}: {value}" for name, value in idle.items() if getattr(self, name) != value]
        if wrong:
            raise ValueError(f"{reason}; set {', '.join(wrong)}")
        return self

    @model_validator(mode="after")
    def _check_trials(self) -> Self:
        """Refuse ranges of parameters that are not numbers or change no training, and trials that cannot differ."""
        if self.trials > 1 and (self.layers == "none" or not self.trial_ranges):
            raise ValueError(
                "trials differ in what fine-tuning learns; set layers and trial_ranges, or trials: 1"
            )
        for name, (low, high) in self.trial_ranges.items():
            value = getattr(self, name, None)
            if not isinstance(value, int | float) or isinstance(value, bool) or name in UNDRAWN:
                raise ValueError(f"trial_ranges: {name} is not a number that changes a training")
            if not low < high or (self.trials > 1 and not low <= value <= high):
                raise ValueError(f"trial_ranges: {name} is {value:g}, its range {low:g} to {high:g}")
        return self

    @model_validator(mode="after")
    def _check_layers(self) -> Self:
        """Refuse layers that the objective cannot train."""
        if self.objective == "distill" and self.layers != "all":
            raise ValueError("objective distill trains all layers of the student; set layers: all")
        if self.objective == "distill" and (self.start != "pretrained" or self.pull > 0):
            raise ValueError(
                "objective distill learns the champion's vectors; set start: pretrained and pull: 0"
            )
        if self.objective == "texts" and (self.layers == "none" or self.dropout == 0):
            raise ValueError("objective texts compares two draws of dropout; set layers and dropout")
        return self

    @model_validator(mode="after")
    def _check_ends(self) -> Self:
        """Refuse ranges that contain values the parameter may not have: a search would fail when it draws one."""
        if self.trials == 1:
            return self
        plain = self.model_dump() | {"trials": 1}
        for name, ends in self.trial_ranges.items():
            for end in ends:
                drawn = int(end) if isinstance(getattr(self, name), int) else end
                try:
                    FinetuneParams(**(plain | {name: drawn}))
                except ValidationError as error:
                    reason = error.errors()[0]["msg"]
                    raise ValueError(f"trial_ranges: {name} cannot be {end:g}: {reason}") from error
        return self
