"""docs/tour.md as a reader follows it: each command is run, what it shows is compared, the browser does what it says."""

import os
import re
import subprocess

import pytest

from box import TOP
from compose_stack import Stack
from servers import wait_until
from webdriver import Browser

with open(os.path.join(TOP, "docs", "tour.md"), encoding="utf-8") as _f:
    TOUR = _f.read()
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.M | re.S)


def steps():
    """Return: [(command, lines that it should show)], in the order of the text."""
    found = []
    for block in BLOCK.findall(TOUR):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def pattern(lines):
    """A line of three dots is any lines or none; within a line they are any characters."""
    text = ""
    for line in lines:
        text += "(?:.*\n)*?" if line == "..." else "".join(
            ".*" if part == "..." else re.escape(part) for part in re.split(r"(\.\.\.)", line)) + "\n"
    return re.compile(text)


def shown_as(text, ports):
    """The tour's own ports in place of the test's."""
    for usual, ours in ports.items():
        text = text.replace(f"localhost:{usual}", f"localhost:{ours}")
    return text


def add_in_browser(url):
    task = re.search(r"write `([^`]+)`, press \*\*Add task\*\*", TOUR).group(1)
    browser = Browser(os.path.join(TOP, "build", "test-logs", "tour-chromedriver.log"))
    try:
        browser.open(url)
        assert "Add task" in " ".join(browser.text("form button"))
        browser.type("form textarea, form input[name=text]", task)
        browser.click("form button")
        wait_until("the task on the page", lambda: task in browser.text("body")[0], 20)
    finally:
        browser.close()


@pytest.fixture
def fresh():
    """A stack of the reader's own, not yet up; the images are there."""
    stack = Stack("tour")
    try:
        yield stack
    finally:
        stack.remove()


def test_the_tour(stack, fresh):
    assert stack.app.is_ready()  # it stays beside the reader's
    ports = {"5000": fresh.ports["NOTES_PORT"], "5443": fresh.ports["NOTES_TLS_PORT"], "9090": fresh.ports["PROMETHEUS_PORT"]}
    all_steps = steps()
    assert len(all_steps) > 10
    env = {k: v for k, v in fresh.env.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    for command, lines in all_steps:
        if not fresh.has_compose_two:
            command = re.sub("^docker compose ", "docker-compose ", command)
        done = subprocess.run(["bash", "-c", shown_as(command, ports)], cwd=TOP, env=env,
                              capture_output=True, text=True, check=False, timeout=900)
        seen = done.stdout + done.stderr
        wanted = pattern([shown_as(line, ports) for line in lines])
        assert wanted.fullmatch(seen if seen.endswith("\n") or not seen else seen + "\n"), (
            f"$ {command}\nwanted:\n" + "\n".join(lines) + f"\nseen (exit {done.returncode}):\n{seen}")
        if command == "make up":
            add_in_browser(f"http://localhost:{ports['5000']}/")
    assert not fresh.ids()


def test_each_link_of_the_documents_leads_somewhere():
    for name in ("tour.md", "OPERATIONS.md"):
        with open(os.path.join(TOP, "docs", name), encoding="utf-8") as f:
            text = f.read()
        anchors = {re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in re.findall(r"^#+ (.*)$", text, re.M)}
        for target in re.findall(r"\]\(([^)]+)\)", text):
            path, _, anchor = target.partition("#")
            if path.startswith("http"):
                continue
            assert not path or os.path.exists(os.path.join(TOP, "docs", path)), f"{name}: {target}"
            assert path or anchor in anchors, f"{name}: {target}"


@pytest.mark.parametrize("words", [["...", "a...c", "..."], ["abc"]])
def test_the_comparison_can_fail(words):
    assert pattern(words).fullmatch("abc\n")
    assert not pattern(words).fullmatch("abd\n")
