"""That a page which one test leaves to the next one remembers nothing, and that nothing is left open."""

from typing import TYPE_CHECKING

import pytest

from tests.e2e.conftest import Site, Visits

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SEEN = """() => ['print', '(prefers-color-scheme: dark)', '(prefers-reduced-motion: reduce)', '(forced-colors: active)',
    '(prefers-contrast: more)'].map(query => matchMedia(query).matches)"""


def test_a_page_taken_again_is_as_if_it_were_new(browser: "Browser", site: Site) -> None:
    visits, open_before = Visits(browser, site), len(browser.contexts)
    one = visits.take(color_scheme="dark", cookies=[{"name": "kept", "value": "1", "url": site.address}])
    one.open("/health")
    one.page.evaluate("localStorage.setItem('kept', '1')")
    one.page.emulate_media(media="print", reduced_motion="reduce", forced_colors="active", contrast="more")
    assert one.page.evaluate(SEEN) == [True] * 5
    visits.give_back(one)
    assert visits.take() is one
    assert one.page.evaluate(SEEN) == [False] * 5
    assert one.page.evaluate("[document.cookie, localStorage.length]") == ["", 0]

    one.page.on("filechooser", lambda _: None)
    visits.give_back(one)
    assert len(browser.contexts) == open_before


def test_a_page_that_cannot_be_prepared_is_closed(browser: "Browser", site: Site) -> None:
    from playwright.sync_api import Error

    visits, open_before = Visits(browser, site), len(browser.contexts)
    with pytest.raises(Error, match="color_scheme"):
        visits.take(color_scheme="purple")
    assert len(browser.contexts) == open_before
