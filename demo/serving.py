"""The demo's end: the service answers from the newest release, learns from feedback at once, and says why."""

from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.markup import escape

from demo.data import DemoData
from demo.landing import films_without_ratings
from demo.watching import WalkFailed
from localplatform.patience import Patience
from localplatform.servers import start_service

N_SHOWN = 5
WORDS = "space adventures with aliens"
QUERY = "a shark terrifies a beach town"


def show_service(console: Console, data: DemoData, environment: dict[str, str], folder: Path) -> None:
    """Start `recsys serve`, ask it as a front end would, and end it.

    Args:
        console: for people.
        data: tells titles, and which films nobody has interacted with.
        environment: of the platform.
        folder: for the feedback store and the log.

    Raises:
        WalkFailed: an answer is not what was promised.
    """
    cold = {film.item_id for film in films_without_ratings(data)}
    service = start_service(folder, environment)
    try:
        with httpx.Client(base_url=service.url, timeout=120) as client:
            _wait_until_ready(client)
            console.print(f"\n[bold]`recsys serve` answers at {service.url}[/]", highlight=False)
            _show_answers(client, console, cold)
    finally:
        service.stop()


def _wait_until_ready(client: httpx.Client) -> None:
    patience = Patience(60, most_s=600)
    while (answer := client.get("/readyz")).status_code != 200:
        if patience.is_over(answer.text):
            raise WalkFailed(f"the service is not ready: {answer.text}")


def _show_answers(client: httpx.Client, console: Console, cold: set[str]) -> None:
    def post(path: str, **body: object) -> dict[str, Any]:
        answer = client.post(f"/v1/{path}", json=body)
        if answer.status_code != 200:
            raise WalkFailed(f"POST /v1/{path} was answered {answer.status_code}: {answer.text}")
        found: dict[str, Any] = answer.json()
        return found

    def show(what: str, items: list[dict[str, Any]]) -> None:
        console.print(f"[bold]{what}[/]", highlight=False)
        for place, item in enumerate(items, 1):
            new = " [green](nobody has interacted with it)[/]" if item["item_id"] in cold else ""
            console.print(f"  {place}. {escape(item['title'] or item['item_id'])}{new}", highlight=False)

    new_user = {"user": "a new user", "k": N_SHOWN}
    show(
        f"A new user, of whom only words are known: {WORDS}",
        post("recommend", **new_user, text=WORDS)["items"],
    )
    found = post("search", query=QUERY, k=N_SHOWN)["items"]
    show(f"Search: {QUERY}", found)
    liked = found[0]
    event = {"event_id": "demo", "user": new_user["user"], "item_id": liked["item_id"], "event": "like"}
    post("feedback", events=[event])
    after = post("recommend", **new_user)
    show(f"The same user, having liked {liked['title']} a moment ago", after["items"])
    if after["basis"] != "profile" or liked["item_id"] in {item["item_id"] for item in after["items"]}:
        raise WalkFailed(f"feedback did not change the list: {after}")
    first = after["items"][0]
    why = post("explain", user=new_user["user"], item=first["item_id"], words=True)
    parts = [
        f"{one['source']} {one['title'] or ''} {one['profile'] + one['ranker']:+.4f}"
        for one in why["contributions"]
    ]
    words = ", ".join(one["word"] for one in why["words"][:5])
    title = escape(first["title"] or first["item_id"])
    console.print(f"[bold]Why {title}?[/]", highlight=False)
    console.print(f"  {escape('; '.join(parts))} = {why['item']['score']:.4f}", highlight=False)
    console.print(f"  words that matter: {escape(words)}", highlight=False)
    total = sum(one["profile"] + one["ranker"] for one in why["contributions"]) + why["rest"]
    if abs(total - why["item"]["score"]) > 1e-5:
        raise WalkFailed(f"the parts do not sum to the score: {why}")
