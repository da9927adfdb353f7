"""The page, looked at in a real browser."""

import os

import pytest

from servers import wait_until
from webdriver import Browser

FIELD = "form textarea, form input[type=text]"
BUTTON = "form button, form input[type=submit]"


@pytest.fixture
def browser(stand):
    stand.start({"default_ttl": "1h", "max_ttl": "24h"})
    os.makedirs(stand.log_dir, exist_ok=True)
    browser = Browser(os.path.join(stand.log_dir, "chromedriver.log"), accept_insecure=True)
    yield browser
    browser.close()


def add(browser, text):
    browser.type(FIELD, text)
    browser.click(BUTTON)


def test_the_form_adds_a_note_and_the_list_shows_it(stand, browser):
    browser.open(f"http://localhost:{stand.app.port}/")
    assert "Add task" in " ".join(browser.text(BUTTON))
    text = "Milch für 3 € kaufen,日本 ✓"
    add(browser, text)
    wait_until("the note on the page", lambda: text in browser.text("body")[0], 10)
    assert [n["text"] for n in stand.app.notes()] == [text]
    assert browser.script("return location.pathname") == "/"
    # The newest stands first.
    add(browser, "a second one")
    wait_until("the second note", lambda: "a second one" in browser.text("body")[0], 10)
    page = browser.text("body")[0]
    assert page.index("a second one") < page.index(text)


def test_a_note_of_script_shows_as_text(stand, browser):
    browser.open(f"https://localhost:{stand.app.tls_port}/")
    text = "<script>document.title = 'taken over'</script><b>bold</b>"
    add(browser, text)
    wait_until("the note on the page", lambda: text in browser.text("body")[0], 10)
    assert browser.script("return document.title") != "taken over"
    assert browser.script("return document.querySelectorAll('li b, td b, p b, article b').length") == 0
    assert stand.table() == [text]
