"""What steers fine-tuning. Values live in params.yaml."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class FinetuneParams(BaseModel):
    """Section `finetune`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    roles: tuple[Literal["challenger"], ...]
    """[challenger] in a workspace of the slow loop: dvc.yaml then has stage `finetune`; [] elsewhere."""
    objective: Literal["ridge", "mean", "pairs"]
    """ridge: users by closed-form ridge over the other items' last profiles; mean: their mean; pairs: item -> item."""
    layers: Literal["top", "all", "lora", "none"]
    """What is trained: the top layers over cached activations of the others, everything, LoRA adapters, or nothing but
    the head (section `fusion`)."""
    top_layers: int = Field(ge=1)
    """layers: top: how many."""
    lora_rank: int = Field(ge=1)
    """layers: lora: rank of the adapters."""
    epochs: int = Field(ge=1)
    """At most; an epoch visits every item about once, profiles are encoded again after each."""
    patience: int = Field(ge=1)
    """Epochs without a better validation after which it stops."""
    batch_items: int = Field(ge=2)
    """Items encoded with gradient per step; the others of a batch are a user's negatives."""
    batch_users: int = Field(ge=2)
    """Users per step, sampled among those who interacted with an item of the batch."""
    accumulate: int = Field(ge=1)
    """Batches per step of the optimizer."""
    encode_tokens: int = Field(ge=16)
    """Tokens encoded at once; halved when a GPU has no memory left."""
    grad_cache: bool
    """Encode twice and keep no activations: batches larger than memory, the same gradient."""
    learning_rate: float = Field(gt=0)
    """At its peak, after the warm-up."""
    warmup_share: float = Field(ge=0, le=1)
    """Share of all steps in which the learning rate rises; it then falls in a straight line to 0."""
    weight_decay: float = Field(ge=0)
    """Of matrices; biases and norms have none."""
    max_grad_norm: float = Field(gt=0)
    """Longer gradients are shortened to this."""
    dropout: float = Field(ge=0, lt=1)
    """Of the transformer's own dropout layers."""
    temperature: float = Field(gt=0)
    """Cosines are divided by this before the softmax."""
    popularity_power: float = Field(ge=0, le=1)
    """Items are drawn with chance ~ (number of users) ** this; 0 draws each once per epoch."""
    logq: float = Field(ge=0, le=1)
    """Share of log(chance to be in the batch) taken off an item's score; idle where popularity_power is 0."""
    item_side: float = Field(ge=0)
    """Weight of the softmax over users for each item, beside that over items for each user; pairs: of the way back."""
    together_weight: float = Field(ge=0)
    """Weight of the loss on pairs of items that share users; 0: none."""
    hard_share: float = Field(ge=0, le=0.75)
    """Share of a batch that is mined: items near to the others of the batch by the last profiles."""
    hard_quantile: float = Field(gt=0, le=1)
    """An item nearer to a positive of the same batch than this quantile of all items is no negative; 1: no limit."""
    word_dropout: float = Field(ge=0, lt=1)
    """Chance of each token to be left out in a step; one of a text always stays."""
    field_dropout: float = Field(ge=0, lt=1)
    """Chance that a step sees a text without one of its fields."""
    adversarial_epsilon: float = Field(ge=0)
    """Length of the perturbation, relative to the text's embeddings, that a second pass must withstand; 0: none."""
    precision: Literal["float32", "bfloat16", "float16"]
    """Autocast on CUDA; a CPU always computes in float32."""
    validation_share: float = Field(gt=0, lt=1)
    """Share of the training items that is held out cold, by a stable hash, to decide when to stop."""
    max_validation_users: int = Field(ge=1)
    """Users scored in a validation, sampled by the seed where there are more."""
    k: int = Field(ge=1)
    """Cutoff of the validation's ndcg@k and recall@k."""
    checkpoint_steps: int = Field(ge=1)
    """Steps between two checkpoints; a killed run goes on from the last one."""
    seed: int = Field(ge=0)
    """Of everything random."""
    seeds: int = Field(ge=1)
    """Trainings, with seed, seed + 1, …: the first is the challenger; their mean, too, must beat the champion."""

    @model_validator(mode="after")
    def _means_what_it_says(self) -> Self:
        """Objective pairs draws a pair of each user: what chooses the items of a batch has no place there."""
        idle = {"popularity_power": 0, "hard_share": 0, "hard_quantile": 1}
        wrong = [f"{name}: {value}" for name, value in idle.items() if getattr(self, name) != value]
        if self.objective == "pairs" and wrong:
            raise ValueError(f"objective pairs draws pairs of users' items; set {', '.join(wrong)}")
        return self
