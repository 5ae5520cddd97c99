"""Parameters of the encoder. Values live in params.yaml."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(gt=0, lt=1)]
Precision = Literal["float32", "int8", "bfloat16", "float16"]


class EncoderParams(BaseModel):
    """Section `encoder`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    source: str
    """A package that contains a model, a local folder (also a static table of model2vec), or a hub id."""
    pooling: Literal["mean", "cls", "last"]
    """How token vectors become one vector; last for decoders. Refused where the source's own folder names another."""
    item_prefix: str | None
    """Prepended to the texts of items, such as `passage: ` for E5. null: the prefix that the source's folder names, or
    none."""
    query_prefix: str | None
    """Prepended to searches and to texts about a user, such as `query: `."""
    max_tokens: int = Field(gt=2)
    """Longer texts are cut; a prefix counts too. Names and genres hardly count in the vector of a whole plot."""
    precision: Precision
    """float32 is exact. int8 is quantised with static scales, for processors. bfloat16 and float16 store weights in 16
    bits, so files are half the size; a GPU multiplies in 16 bits, processors in float32."""
    calibration_texts: int = Field(ge=32)
    """Texts that set the int8 scales."""
    batch_tokens: int = Field(gt=0)
    """Padded tokens per batch."""


class FirstLightParams(BaseModel):
    """Section `first_light`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    min_items: int = Field(ge=2)
    """Number of different texts from which a head of first light is made. With fewer, the encoder is used alone."""
    lexical_shares: tuple[Share, Share]
    """Weights of exact words (TF-IDF) beside the encoder: first for short texts, which seldom share a word, then for
    long ones, of which an encoder keeps only the gist."""
    long_from_terms: int = Field(ge=1)
    """Texts count as long where half of them have at least this many different words and pairs of words."""
    field_terms: float = Field(ge=0)
    """Where texts are long, a field counts at most like so many different terms that only one text has, so that a
    description does not drown a name. For heads that are trained validation chooses between this and 0: fields are not
    told apart."""
    gamma: float = Field(gt=0)
    """Sharpness of the encoder's kernel, exp(gamma * (cosine - 1))."""
    constant: float = Field(ge=0)
    """Coordinate that every profile gets before it is scaled to unit length. The larger it is, the less a text that
    resembles few others is stretched. Users have 0 there. Views of total weight w lengthen the coordinates of items
    that have them, so for all items it is then sqrt(1 + w) times as large."""
    width: int = Field(gt=1, le=4096)
    """The largest width of a profile in a large catalogue; few texts give a smaller one."""
    wide_up_to: int = Field(ge=0)
    """With at most this many distinct texts, profiles are up to twice as wide: exact words are lost with the
    smaller components, and a small catalogue can afford to keep more of them. 0: never."""
    max_landmarks: int = Field(ge=2, le=20000)
    """Texts that every text is compared with; a sample of a larger catalogue."""

    def width_of(self, n_texts: int) -> int:
        """The largest width of a profile in a catalogue of this many different texts."""
        return 2 * self.width if n_texts <= self.wide_up_to else self.width
