"""Wake `profile_arrivals` when items, relations or vectors land, in a folder or in S3."""

import asyncio
import hashlib
import logging
import os
from collections.abc import AsyncIterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

if TYPE_CHECKING:
    from recsys.storage.protocol import Storage

log = logging.getLogger(__name__)

CURSOR = "seen"


class LandingTrigger(BaseEventTrigger):
    """Fires once per look at the landing zone (RECSYS_LANDING) that shows a new file that wakes.

    An event is only a wake-up: `ingest` lists for itself what is pending, so that events may come twice, coalesce or
    get lost. The known files are kept in Airflow's asset state store and survive a restart of the triggerer. Files of
    interactions and impressions wake nobody: the sweep takes them in.

    Args:
        poll_s: seconds between two looks.
    """

    def __init__(self, poll_s: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow has no types here
        self.poll_s = poll_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Where Airflow finds this class, and with what to make it again."""
        return "landing_trigger.LandingTrigger", {"poll_s": self.poll_s}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look, tell, sleep; a landing zone that cannot be read is logged and looked at again."""
        known = await self._known()
        while True:
            try:
                pending = await asyncio.to_thread(landed)
            except (
                Exception
            ) as error:  # any fault of disk, network or credentials: the sweep reports it, we go on
                log.warning("the landing zone cannot be read now: %s", error)
                _landing_zone.cache_clear()  # perhaps it wants other credentials now
            else:
                if new := pending - known:
                    yield TriggerEvent({"files": len(new)})  # type: ignore[no-untyped-call]
                if pending != known:  # after the event: a kill in between repeats it, which is harmless
                    known = pending
                    await self._keep(known)
            await asyncio.sleep(self.poll_s)

    async def _known(self) -> set[str]:
        if self.asset_state_store is None:
            return set()
        found = await self.asset_state_store.aget(CURSOR, [])
        return {str(one) for one in found} if isinstance(found, list) else set()

    async def _keep(self, known: set[str]) -> None:
        if self.asset_state_store is not None:
            await self.asset_state_store.aset(CURSOR, [*sorted(known)])


def landed() -> set[str]:
    """A short fingerprint of every finished file that wakes, by `Kind.wakes`: key and version. Blocks."""
    from recsys.catalogue.kinds import KINDS
    from recsys.catalogue.landing import arrived

    files = arrived(_landing_zone(os.environ["RECSYS_LANDING"]))
    named = (f"{file.key}\0{file.version}" for file in files if KINDS[file.kind].wakes)
    return {hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:16] for name in named}


@lru_cache(maxsize=1)
def _landing_zone(url: str) -> "Storage":
    """Kept from look to look: a client of S3 takes much more CPU to make than to use."""
    from recsys.storage.opening import open_storage

    return open_storage(url)
