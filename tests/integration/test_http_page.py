"""The page in a real browser: accessibility, phone and desktop, light and dark, keyboard, scripts on and off, fresh times.

SCREENSHOTS=FOLDER (`make screenshots`) writes what the tests see into docs/ or elsewhere.
"""

import glob
import os

import pytest

from servers import wait_until
from stand import TOP
from webdriver import Browser

CALM = {"default_ttl": "1h", "max_ttl": "24h"}
TAB, ENTER = "\ue004", "\ue007"
PHONE, DESKTOP = (360, 740), (1280, 900)
NOTES = ["Renew the passport", "Ask Mira whether the key of the cellar is with her; if not, the caretaker has a second one.",
         "Milch für 3 € kaufen ✓", "Water the plants\n - the fig\n - the lemon tree", "https://example.org/" + "a-long-path/" * 12]


@pytest.fixture(scope="module")
def axe():
    found = glob.glob(os.path.join(TOP, "build", "http-tools", "lib", "*", "site-packages", "axe_playwright_python", "axe.min.js"))
    assert found, "axe-core is missing: make deps"
    with open(found[0], encoding="utf-8") as f:
        return f.read()


@pytest.fixture(scope="module")
def one_browser():
    folder = os.path.join(TOP, "build", "test-logs")
    os.makedirs(folder, exist_ok=True)
    browser = Browser(os.path.join(folder, "chromedriver-page.log"))
    yield browser
    browser.close()


@pytest.fixture
def browser(stand, one_browser):
    """The browser as it is at first, and a service of the test's own."""
    stand.start(CALM, grace="2s")
    one_browser.allow_scripts(True)
    one_browser.resize(*DESKTOP)
    return one_browser


def open_page(browser, stand, query=""):
    browser.open(f"http://localhost:{stand.app.port}/{query}")


def violations(browser, axe):
    """Return: what axe-core objects to, of every weight."""
    browser.script(axe)
    found = browser.script_async("axe.run(document, {resultTypes: ['violations']}).then(r => arguments[0](r.violations))")
    return [(v["id"], v["impact"], [n["html"][:200] for n in v["nodes"]]) for v in found]


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing(stand, browser, axe, size, dark):
    """With notes, at an older page, and with a fault beside the form; nothing sticks out to the side."""
    for text in NOTES:
        stand.app.add(text)
    browser.resize(*size, dark=dark, mobile=size == PHONE)
    open_page(browser, stand)
    assert violations(browser, axe) == []
    assert browser.script("return document.documentElement.scrollWidth <= window.innerWidth")
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        name = f"page-{'phone' if size == PHONE else 'desktop'}-{'dark' if dark else 'light'}.png"
        browser.screenshot(os.path.join(TOP, folder, name))
    oldest = stand.app.notes()[-1]["id"]
    open_page(browser, stand, f"?before={oldest + 1}")
    assert violations(browser, axe) == []
    open_page(browser, stand)
    browser.script("document.getElementById('text').required = false")
    browser.click("button")
    wait_until("the fault", lambda: browser.find("#fault"), 10)
    assert violations(browser, axe) == []
    assert browser.script("return document.title").startswith("Error")


def test_without_credentials_the_page_is_clear_too(stand, browser, axe):
    stand.agent.stop()
    stand.app.stop()
    app = stand.app.start(ready=False)
    app.process.wait_for("notesd to listen", lambda: "listening on" in app.process.log_text())
    open_page(browser, stand)
    assert "no credentials" in browser.text("main")[0]
    assert "not connected" in browser.text("#panel")[0]
    assert violations(browser, axe) == []


def focused(browser):
    return browser.script("const e = document.activeElement; return e.id || e.textContent.trim() || e.tagName")


def test_all_is_reached_by_keyboard(stand, browser):
    for i in range(25):
        stand.app.add(f"note {i}")
    open_page(browser, stand)
    reached = []
    for _ in range(5):
        browser.press(TAB)
        reached.append(focused(browser))
        assert browser.script("return getComputedStyle(document.activeElement).outlineStyle") == "solid", reached
    assert reached == ["Skip to the tasks", "text", "Add task", "Older tasks", "panel"]
    open_page(browser, stand)
    browser.press(TAB, TAB)
    browser.type("#text", "by keyboard alone")
    browser.press(TAB, ENTER)
    wait_until("the note", lambda: "by keyboard alone" in browser.text("ol")[0], 10)


def test_pages_lead_to_the_oldest_and_back(stand, browser):
    for i in range(45):
        stand.app.add(f"note {i}")
    open_page(browser, stand)
    seen = []
    for _ in range(3):
        seen += browser.text("ol .text")
        links = browser.find("nav a")
        if "Older tasks" not in browser.text("nav")[0]:
            break
        browser.script("[...document.querySelectorAll('nav a')].at(-1).click()")
        wait_until("another page", lambda: browser.find("nav a") != links, 10)
    assert seen == [f"note {i}" for i in range(44, -1, -1)]
    browser.script("document.querySelector('nav a').click()")
    wait_until("the newest", lambda: "note 44" in browser.text("ol")[0], 10)


def version_shown(browser):
    return browser.script("return document.querySelector('#panel tbody td').textContent")


def test_the_panel_follows_a_rotation_by_itself(stand, browser):
    """User, version and certificate change where they stand; the reader's focus and text stay."""
    open_page(browser, stand)
    before = version_shown(browser)
    user, serial = browser.text("#db-user")[0], browser.text("#serial")[0]
    assert before == str(stand.agent.versions()["db"])
    browser.script("document.getElementById('panel').focus()")
    browser.type("#text", "half a thought")
    browser.script("document.getElementById('panel').focus()")
    stand.agent.ask("POST", "/agent/v1/rotate")
    wait_until("the new version on the page", lambda: version_shown(browser) != before, 15)
    wait_until("the new serial number", lambda: browser.text("#serial")[0] != serial, 15)
    assert browser.text("#db-user")[0] != user
    assert focused(browser) == "panel"
    assert browser.script("return document.getElementById('text').value") == "half a thought"
    assert "Just changed" in browser.text("#news")[0]
    assert browser.text("#serial")[0] == stand.secret("tls")["data"]["serial_number"]
    stand.app.stop()
    wait_until("its word that nobody answers", lambda: "does not answer" in browser.text("#news")[0], 15)


def test_times_are_relative_and_exact_and_stay_fresh(stand, browser):
    stand.app.add("now")
    open_page(browser, stand)
    exact = browser.text("ol .exact")[0]
    assert exact.endswith(" UTC")
    shown = browser.text("ol time")[0]
    wait_until("the time to move on", lambda: browser.text("ol time")[0] != shown, 15)
    assert browser.text("ol time")[0].endswith(" seconds ago")
    assert browser.text("ol .exact")[0] == exact


def test_with_scripts_off_all_of_it_works(stand, browser):
    browser.allow_scripts(False)
    open_page(browser, stand)
    browser.type("#text", "without a script")
    browser.click("button")
    wait_until("the note", lambda: browser.find("ol .text"), 10)
    assert browser.text("ol .text") == ["without a script"]
    assert browser.text("ol time")[0] in ("just now", *(f"{i} seconds ago" for i in range(5, 30)))
    assert browser.text("#db-user")[0] == stand.secret("db")["data"]["username"]


def test_nothing_of_it_breaks_its_own_policy(stand, browser):
    """No violation of the Content-Security-Policy and no error on the browser's console."""
    stand.app.add("a note")
    browser.severe_log()  # what the tests before provoked
    open_page(browser, stand)
    browser.script("document.addEventListener('securitypolicyviolation', e => (window.bad = window.bad || []).push(e.blockedURI))")
    shown = browser.text("ol time")[0]
    wait_until("the script at work", lambda: browser.text("ol time")[0] != shown, 15)
    assert browser.script("return window.bad || []") == []
    assert browser.severe_log() == []
