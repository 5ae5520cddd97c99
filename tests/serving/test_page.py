"""The page in a real browser: lists, search, a new item, feedback and reasons; by keyboard, and at 400 px."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from recsys.catalogue.pseudonyms import Pseudonyms
from recsys.catalogue.weighting import Weighting
from recsys.models.parts import SearchPart
from recsys.models.reference import ModelReference
from recsys.storage.opening import open_storage
from tests.publishing.conftest import filled
from tests.publishing.film_workspace import FilmWorkspace
from tests.serving.service import KEY, served

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def address(packed: tuple[Path, ModelReference], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service over ten films."""
    folder = tmp_path_factory.mktemp("page")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RECSYS_CACHE", str(packed[0]))
        film_workspace = filled(
            FilmWorkspace(folder / "films", packed[1].with_search(SearchPart(temperature=0.1)))
        )
        film_workspace.publish(open_storage(str(folder / "store")))
        with served(str(folder / "store"), folder) as client:
            yield str(client.base_url)


@pytest.fixture
def page(address: str) -> Iterator[Page]:
    """The page, loaded."""
    with opened_at(address) as opened:
        yield opened


@contextmanager
def opened_at(address: str) -> Iterator[Page]:
    """The page of a service over ten films; whatever it logs as an error fails the test."""
    with sync_playwright() as playwright:
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        opened = browser.new_page(viewport={"width": 1200, "height": 900})
        errors: list[str] = []
        opened.on("pageerror", lambda error: errors.append(str(error)))
        opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        opened.goto(address)
        expect(opened.locator("#list li .open")).to_have_count(10)
        yield opened
        browser.close()
    assert [
        one for one in errors if "Failed to load resource" not in one
    ] == []  # a refused request, by itself


def test_words_about_a_new_user_make_a_list(page: Page) -> None:
    expect(page.locator("#basis")).to_contain_text("Nothing is known")
    page.fill("[name=text]", "sharks and the sea")
    page.click("#user-form button")
    expect(page.locator("#list li .open").first).to_contain_text("shark")
    expect(page.locator("#basis")).to_contain_text("user's profile")


def test_a_like_changes_the_list_at_once_and_the_reasons_sum_to_the_score(page: Page) -> None:
    page.click("text=A crew in deep space")
    expect(page.locator("#near li .open").first).to_contain_text("astronauts")
    page.click("#like")
    expect(page.locator("#likes button")).to_have_count(1)
    expect(page.locator("#list li .open").first).to_contain_text("astronauts")
    expect(page.locator("#list .moved.up").first).to_be_visible()
    page.locator("#list li .open").first.click()
    page.click("#why")
    expect(page.locator("#reasons .reason")).to_have_count(1)
    score = page.locator("#reasons p").first.inner_text().split()[1]
    assert page.locator("#reasons .reason span").last.inner_text() == score
    page.locator("#likes button").click()
    expect(page.locator("#basis")).to_contain_text("Nothing is known")


def test_a_known_users_like_is_kept_as_feedback(page: Page, address: str) -> None:
    page.fill("[name=user]", "a person")
    page.click("#user-form button")
    expect(page.locator("#basis")).to_contain_text("Nothing is known of a user “a person”")
    page.click("text=A crew in deep space")
    page.click("#like")
    expect(page.locator("#basis")).to_contain_text("user's profile")
    page.goto(address)
    page.fill("[name=user]", "a person")
    page.click("#user-form button")
    expect(page.locator("#list li .open").first).to_contain_text("astronauts")


def test_search_and_a_new_item(page: Page) -> None:
    page.click("#tab-search")
    page.fill("[name=query]", "a boxer fights for the title")
    page.keyboard.press("Enter")
    expect(page.locator("#found li .open").first).to_contain_text("boxer")
    chances = [one.rstrip(" %") for one in page.locator("#found li .chance").all_inner_texts()]
    assert len(chances) == 10 and int(chances[0]) > 50 and chances[-1] == "< 1"
    page.click("#tab-new")
    page.fill("textarea", "Astronauts lost in deep space")
    page.click("#new-form button")
    expect(page.locator("#neighbours li .open").first).to_contain_text("astronauts")
    expect(page.locator("#profile rect")).to_have_count(384)


def test_everything_is_reached_by_the_keyboard(page: Page) -> None:
    page.focus("#tab-list")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#view-search")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    page.locator("#list li .open").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#item")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#item")).to_be_hidden()


def test_nothing_is_cut_off_at_400_pixels(page: Page) -> None:
    page.set_viewport_size({"width": 400, "height": 800})
    page.locator("#list li .open").first.click()
    expect(page.locator("#near li").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_a_problem_is_shown_with_its_remedy(page: Page) -> None:
    page.locator("#list li .open").first.click()
    with page.expect_response("**/v1/explain"):
        page.click("#why")
    expect(page.locator("#problem")).to_contain_text("nothing that is known of this user")


def test_the_reasons_name_a_dislike_that_counts(
    packed: tuple[Path, ModelReference], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECSYS_CACHE", str(packed[0]))
    weighting = Weighting(dislike=0.5)
    films = FilmWorkspace(tmp_path / "films", ModelReference.of(packed[1].encoder, weighting=weighting))
    zoe = Pseudonyms(KEY).of("zoe")
    films.ratings([(zoe, "alien"), (zoe, "babe")], day=5, values=[5.0, -1.0])
    filled(films).publish(open_storage(str(tmp_path / "store")))
    with served(str(tmp_path / "store"), tmp_path) as client, opened_at(str(client.base_url)) as page:
        page.fill("[name=user]", "zoe")
        page.click("#user-form button")
        expect(page.locator("#basis")).to_contain_text("user's profile")
        page.locator("#list li .open").first.click()
        page.click("#why")
        expect(page.locator("#reasons .reason")).to_have_count(2)
        expect(page.locator("#reasons")).to_contain_text("dislikes A pig")
