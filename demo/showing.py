"""What the demo shows at its end: the table of steps, recall beside the floors, recommendations, where to look."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from demo.data import DemoData
from demo.judging import CHAMPION, MODELS, Judged
from demo.landing import films_without_ratings
from demo.training import Training, show_ledger
from demo.walk import Step, Walk
from recsys import Release

N_SHOWN = 5


def show_steps(console: Console, steps: list[Step]) -> None:
    """One line per step."""
    table = Table(title="\nWhat happened", title_style="bold", header_style="bold")
    table.add_column("step", no_wrap=True)
    for column in (
        "parts",
        "rows in",
        "quarantined",
        "encoded",
        "of",
        "index recall",
        "landed → live",
        "step took",
    ):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("release", no_wrap=True)
    for step in steps:
        table.add_row(
            step.name,
            str(step.parts),
            f"{step.accepted:,}",
            str(step.quarantined),
            f"{step.encoded:,}",
            f"{step.n_items:,}",
            "" if step.index_recall is None else f"{step.index_recall:.3f}",
            "held" if step.live_s is None else f"{step.live_s:.1f} s",
            f"{step.seconds:.1f} s",
            step.release,
        )
    console.print(table)


def show_recall(console: Console, judged: Judged) -> None:
    """Recall of the cold films, floors first."""
    title = (
        f"\nrecall@{judged.k} of {judged.n_candidates} films that nobody has rated, "
        f"against the withheld ratings of {judged.n_users} users"
    )
    table = Table(title=title, title_style="bold", header_style="bold")
    table.add_column("ranked by")
    table.add_column(f"recall@{judged.k}", justify="right")
    for name, words in MODELS.items():
        style = "bold green" if name == CHAMPION else ""
        table.add_row(words, f"{judged.recall[name]:.4f}", style=style)
    console.print(table)


def show_training(console: Console, training: Training) -> None:
    """Recall of the films that are cold still, before and after the new champion."""
    before, after = training.before, training.after
    title = (
        f"\nrecall@{before.k} of the {before.n_candidates} films that nobody has rated yet, "
        f"against the withheld ratings of {before.n_users} users"
    )
    table = Table(title=title, title_style="bold", header_style="bold")
    table.add_column("ranked by")
    table.add_column(f"recall@{before.k}", justify="right")
    table.add_row(MODELS["tfidf_centroid"], f"{before.recall['tfidf_centroid']:.4f}")
    table.add_row("release before the training", f"{before.recall[CHAMPION]:.4f}")
    if after:
        table.add_row("release of the new champion", f"{after.recall[CHAMPION]:.4f}", style="bold green")
    console.print(table)
    published = "" if training.publish_s is None else f"; promoted → live {training.publish_s:.0f} s"
    console.print(
        f"training, judging and promotion took {training.train_s:.0f} s{published}", highlight=False
    )


def show_use(console: Console, data: DemoData, store: str, cache: Path) -> None:
    """Recommendations for the user with the most ratings, and the nearest films to a cold one."""
    films = {film.item_id: film for film in data.films}
    rated = data.ratings_of(data.without_plot)
    counts: dict[str, int] = {}
    for rating in rated:
        counts[rating.user_id] = counts.get(rating.user_id, 0) + 1
    user = min(counts, key=lambda one: (-counts[one], one))
    release = Release.open(store, cache=cache)
    liked = [films[r.item_id].title for r in rated if r.user_id == user and r.value == 5][:N_SHOWN]
    console.print(
        f"\n[bold]Recommendations for user {user}[/], who rated {counts[user]} films, such as {'; '.join(liked)}:"
    )
    cold = {film.item_id for film in films_without_ratings(data)}
    for place, scored in enumerate(release.recommend(user, k=N_SHOWN), 1):
        new = " [green](new, nobody has rated it)[/]" if scored.item_id in cold else ""
        console.print(
            f"  {place}. {films[scored.item_id].title}{new} [dim]{scored.score:.3f}[/]", highlight=False
        )
    film = next(film for film in data.with_plot if film.name == "Alien")
    console.print(f"\n[bold]Nearest films to {film.title}[/], by its text alone:")
    for place, scored in enumerate(release.similar(film.item_id, k=N_SHOWN), 1):
        console.print(f"  {place}. {films[scored.item_id].title} [dim]{scored.score:.3f}[/]", highlight=False)


def show_all(console: Console, walk: Walk) -> None:
    """Everything, after the walk."""
    environment = walk.platform.environment
    show_steps(console, walk.steps)
    if walk.judged:
        show_recall(console, walk.judged)
    if walk.training:
        show_training(console, walk.training)
        show_ledger(console, walk.at.root)
    show_use(console, walk.data, environment["RECSYS_STORE"], walk.at.cache)
