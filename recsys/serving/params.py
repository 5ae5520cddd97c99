"""Parameters of the service. Values live in params.yaml."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from recsys.catalogue.params import EventName, Share


class ServeParams(BaseModel):
    """Section `serve`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    poll_s: float = Field(ge=0.1)
    """Seconds between two checks of CURRENT."""
    max_k: int = Field(ge=1)
    """Longest list that may be requested."""
    max_ids: int = Field(ge=1)
    """Most ids that a request may list as history, or as candidates."""
    max_text_chars: int = Field(ge=1)
    """Longest text of a request."""
    max_body_kb: int = Field(ge=1)
    """Largest body of a request."""
    max_running: int = Field(ge=1)
    """Requests that are computed at once, per worker. As many that bring feedback, and as many of `/v1/admin`, may be
    under way besides: they wait for a disk, or for a release."""
    max_waiting: int = Field(ge=0)
    """Requests of each of these three kinds that may wait, per worker; further ones are answered 503 with
    Retry-After."""
    wait_s: float = Field(gt=0)
    """Seconds that a request's headers may take to arrive, else the connection is closed (408), and then its body, else
    it is answered 503."""
    queue_s: float = Field(gt=0)
    """Seconds that a request may wait for its turn; then it is answered 503 with Retry-After. So under any load what is
    answered is answered within about this time."""
    silent_s: float = Field(ge=3, le=3600)
    """With several workers, one whose event loop has been stuck for this many seconds is killed and replaced. If it is
    computing meanwhile, it gets ten times as long. Only what takes some milliseconds is computed on the loop."""
    requests_per_minute: int = Field(ge=0)
    """Requests per minute of one API key (of one address, where there are no keys), per worker; 0: not limited."""
    max_events: int = Field(ge=1)
    """Most events of feedback in one request."""
    ship_s: float = Field(gt=0)
    """Seconds between two runs that write feedback into the landing zone, for the next release."""
    keep_days: float = Field(ge=0)
    """Days for which the feedback store keeps events that the current release already holds; longer than clients may
    repeat them."""
    explore_policy: Literal["none", "thompson", "linucb", "uniform"]
    """How a new item is chosen for a place that explores, see `recsys/ranking/exploring.py`; none: no exploration."""
    explore_share: float = Field(ge=0, le=1)
    """Probability that a place of a user's list goes to a new item that the ranker would not put there."""
    explore_sigma: float = Field(gt=0)
    """σ, the uncertainty of scores: larger values prefer new items that are unlike known ones."""
    explore_uniform: float = Field(ge=0, le=1)
    """Share of each draw that is uniform over all candidates; above 0, the log can be used to estimate any other
    policy."""
    explore_pool: int = Field(ge=1, le=200)
    """Number of new items, those with the best scores for the user, out of which one is drawn."""
    explore_budget: int = Field(ge=1)
    """Most explored places that a new item gets, per worker and release; a restart begins at 0."""
    share: Share
    """Share of users who get the release `share_release` instead of the current one; 0: nobody."""
    share_release: str | None = Field(pattern=r"\A[0-9]{6,12}-[0-9a-f]{10}\z")
    """Release that `share` of the users get, such as one that was published under a hold; null: none."""
    click_events: tuple[EventName, ...]
    """Events of feedback that count as clicks when two releases are compared; case and separators do not matter."""
    compare_alpha: float = Field(gt=0, lt=1)
    """Chance that the interval of `recsys compare` ever excludes the true difference, however often it is printed."""
    compare_effect: float = Field(gt=0, le=1)
    """Expected difference in click-through rate: the interval of `recsys compare` is tightest near it. Set it before a
    trial begins."""
    keep_trial_days: float = Field(ge=0)
    """Days for which the counts of a trial are kept after its last list or click."""

    @model_validator(mode="after")
    def _share_of_something(self) -> Self:
        if self.share and self.share_release is None:
            raise ValueError("share is above 0, and share_release names no release")
        return self
