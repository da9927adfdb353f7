"""The little of WebDriver that a test needs, spoken to Debian's chromedriver over plain HTTP."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request

from servers import free_port, wait_until

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Browser:
    """A headless Chromium with a profile that goes with it."""

    def __init__(self, log, accept_insecure=False):
        self.port = free_port()
        self.profile = tempfile.mkdtemp(prefix="leasekeeper-browser.")
        with open(log, "ab") as out:
            self._driver = subprocess.Popen(["chromedriver", f"--port={self.port}"], stdout=out, stderr=out,
                                            env={**os.environ, "HOME": self.profile})
        self._session = None
        wait_until("chromedriver to answer", self._answers, 60)
        capabilities = {"browserName": "chrome", "acceptInsecureCerts": accept_insecure, "goog:chromeOptions": {
            "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                     "--disable-background-networking", "--disable-component-update", "--disable-sync",
                     f"--user-data-dir={self.profile}"]}}
        self._session = self._call("POST", "/session", {"capabilities": {"alwaysMatch": capabilities}})["sessionId"]

    def _answers(self):
        try:
            return self._call("GET", "/status")["ready"]
        except OSError:
            return False

    def _call(self, method, path, body=None):
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, method=method,
                                         headers={"Content-Type": "application/json"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as e:
            raise AssertionError(f"{method} {path}: {e.read().decode()[:500]}") from None

    def _do(self, method, path, body=None):
        return self._call(method, f"/session/{self._session}{path}", body)

    def open(self, url):
        self._do("POST", "/url", {"url": url})

    def find(self, css):
        return [e[ELEMENT] for e in self._do("POST", "/elements", {"using": "css selector", "value": css})]

    def text(self, css):
        """What a reader sees of each element; in one step, since the page may be replaced between two."""
        return self.script(f"return Array.from(document.querySelectorAll({json.dumps(css)}), e => e.innerText)")

    def type(self, css, text):
        self._do("POST", f"/element/{self.find(css)[0]}/value", {"text": text})

    def click(self, css):
        self._do("POST", f"/element/{self.find(css)[0]}/click", {})

    def script(self, text):
        return self._do("POST", "/execute/sync", {"script": text, "args": []})

    def script_async(self, text):
        """A script that hands its result to arguments[0]."""
        return self._do("POST", "/execute/async", {"script": text, "args": []})

    def severe_log(self):
        """What the browser has complained about since this was asked last."""
        return [e["message"] for e in self._do("POST", "/se/log", {"type": "browser"}) if e["level"] == "SEVERE"]

    def devtools(self, command, **params):
        """A command of the Chrome DevTools Protocol."""
        return self._do("POST", "/goog/cdp/execute", {"cmd": command, "params": params})

    def resize(self, width, height, dark=False, mobile=False):
        """The screen, and what its owner likes."""
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        self.devtools("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def allow_scripts(self, allowed):
        self.devtools("Emulation.setScriptExecutionDisabled", value=not allowed)

    def press(self, *keys):
        """Keys for whatever has the focus, in WebDriver's notation."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._do("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def screenshot(self, path):
        """The whole page, not only what the window shows."""
        shot = self.devtools("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        with open(path, "wb") as f:
            f.write(base64.b64decode(shot["data"]))

    def close(self):
        try:
            if self._session:
                self._do("DELETE", "")
        finally:
            self._driver.terminate()
            self._driver.wait(20)
            shutil.rmtree(self.profile, ignore_errors=True)
