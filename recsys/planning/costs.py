"""The cost of each stage: a line through measured runs, in items and interactions; stored in a file per machine.

    cost = fixed + per item * items + per interaction * interactions

Three runs of the real commands give the three numbers (`probing.py`). Bytes of arrays are known exactly (`sizes.py`),
so only what remains of a stage's output is measured.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from recsys.encoders.rates import EncoderRates
from recsys.errors import ConfigError
from recsys.storage.atomic import write_document

WALK = ("ingest", "validate", "images", "features", "profiles@champion", "users", "index", "publish")
"""Steps of the first load, in order."""


class Size(BaseModel):
    """How much has landed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    items: int = Field(ge=1)
    interactions: int = Field(ge=0)


class Line(BaseModel):
    """A cost that grows with items and interactions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fixed: float = Field(ge=0)
    per_item: float = Field(ge=0)
    per_interaction: float = Field(ge=0)

    def at(self, size: Size) -> float:
        """The cost at a size."""
        return self.fixed + self.growing(size)

    def growing(self, size: Size) -> float:
        """The part of the cost that grows."""
        return self.per_item * size.items + self.per_interaction * size.interactions

    @classmethod
    def through(cls, measured: Mapping[Size, float]) -> Self:
        """The line through measurements; a slope below 0, which noise can give, becomes 0.

        Args:
            measured: three or more sizes, among them some that differ in items and some that differ in interactions.

        Returns:
            The line with the least squares of relative errors.

        Raises:
            ValueError: the sizes do not tell the three numbers apart.
        """
        rows = np.array([(1.0, size.items, size.interactions) for size in measured])
        costs = np.array(list(measured.values()), float)
        if np.linalg.matrix_rank(rows / rows.max(axis=0).clip(1)) < rows.shape[1]:
            raise ValueError("these sizes do not tell what items and interactions cost")
        from scipy.optimize import nnls

        weights = 1 / np.maximum(costs, 1e-9 + costs.max(initial=0) * 1e-6)
        scales = np.abs(rows).max(axis=0)
        found, _ = nnls(rows / scales * weights[:, None], costs * weights)
        fixed, per_item, per_interaction = (found / scales).tolist()
        return cls(fixed=fixed, per_item=per_item, per_interaction=per_interaction)


class StageCost(BaseModel):
    """What one step of the walk costs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    """One of WALK."""
    cpu_seconds: Line
    """Processor time; of `profiles` without the encoder."""
    memory_bytes: Line
    """Peak of resident memory, files that are mapped included."""
    table_bytes: Line
    """Written, beyond the arrays whose bytes are known."""


class Rates(BaseModel):
    """What was measured on one machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = Field(default=1, ge=1, le=1)
    encoder: EncoderRates
    stages: tuple[StageCost, ...]
    width: int = Field(ge=1)
    """Of the profiles in the measured runs; time of `profiles` and `index` is taken to grow with it."""
    base_width: int = Field(ge=1)
    """Of the encoder's vectors."""
    sizes: tuple[Size, ...]
    """Of the measured runs."""

    def save(self, path: Path) -> None:
        """Write it atomically, as JSON."""
        write_document(path, self)

    @classmethod
    def load(cls, path: Path) -> "Rates":
        """Read what `save` wrote, here or on another machine.

        Args:
            path: a JSON file.

        Returns:
            The rates.

        Raises:
            ConfigError: it is missing, or is not such a file.
        """
        remedy = "recsys plan --items N --measure writes one and says where"
        try:
            found = cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}", remedy=remedy) from error
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "the file"
            raise ConfigError(f"{path} holds no rates: {place}: {first['msg']}", remedy=remedy) from error
        if tuple(one.stage for one in found.stages) != WALK:
            raise ConfigError(f"{path} holds rates of other stages than this version has", remedy=remedy)
        return found
