"""Each lesson finished with the keyboard alone: the question read, answered wrongly, then rightly, and seen decided."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from apps.dashboard.lessons.stored import built_in
from tests.e2e.conftest import Site, Visit
from tests.e2e.test_dashboard import needs_axe
from tests.e2e.test_keyboard import no_fault, reach

PHONE = {"width": 390, "height": 844}
LESSONS = {lesson.name: lesson for lesson in built_in()}


@pytest.fixture(scope="module")
def taught(site: Site) -> Iterator[None]:
    """Install all lessons on the site, once."""
    site.manage("installlessons")
    yield
    site.manage("installlessons", "--remove", *LESSONS)


@needs_axe
@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_is_finished_by_keyboard(visit: Callable[..., Visit], taught: None, name: str) -> None:
    # Every other one on a phone, and of both kinds some in the dark.
    number = list(LESSONS).index(name)
    look: dict[str, Any] = {"color_scheme": "dark"} if number % 4 > 1 else {}
    if number % 2:
        look["viewport"] = PHONE
    one = visit(**look)
    page = one.page
    one.open("/learn/")
    reach(page, f"a[href='/learn/{name}/']")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/learn/{name}/")
    right = [choice.right for choice in LESSONS[name].choices].index(True)
    wrong = 1 if right == 0 else 0
    for place, says in ((wrong, "Not so"), (right, "Right")):
        _choose(page, place)
        page.get_by_role("heading", name=says, exact=True).wait_for()
        assert page.locator("table").first.is_visible() == (place == right)
    page.locator("[data-gantt][data-drawn=tasks]").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    no_fault(page)
    reach(page, "a.button[href*='/at/']")
    page.keyboard.press("Enter")
    page.wait_for_url("**/runs/*/at/**")
    for policy in LESSONS[name].show.policies:
        assert policy in page.locator("main").inner_text()
    one.open("/learn/")
    assert "1 of 8 answered right" in page.locator("main").inner_text()


def _choose(page: Any, place: int) -> None:
    """Answer with a choice: Tab to the answers, the arrows to one of them, Enter."""
    reach(page, "input[name=choice]")
    at = page.evaluate("Number(document.activeElement.value) - 1")
    page.keyboard.press("Space")
    for _ in range(abs(place - at)):
        page.keyboard.press("ArrowDown" if place > at else "ArrowUp")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/?choice={place + 1}**")
