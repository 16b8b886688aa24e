"""A real Chromium that tests drive as a person would: with the keyboard, and with eyes.

Speaks the DevTools protocol over a pipe, so nothing but Chromium is needed.
"""

import base64
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from browsers import CHROMIUM

KEYS = {"Tab": (9, ""), "Enter": (13, "\r"), "Escape": (27, "")}
PATIENCE = 60.0


class Browser:
    """One page of a Chromium."""

    def __init__(self, ask: Any, answers: Any) -> None:
        self._ask, self._answers = ask, answers
        self._number = 0
        self._session: str | None = None
        self.complaints: list[str] = []
        """What stood in the console."""
        self.asked: list[str] = []
        """The addresses that were asked for."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        made = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = made["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **given: Any) -> dict[str, Any]:
        """Ask the browser for something; gives its answer."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": given}
        if self._session:
            message["sessionId"] = self._session
        self._ask.write(json.dumps(message).encode() + b"\0")
        self._ask.flush()
        while True:
            said = self._next()
            if said.get("id") == self._number:
                assert "error" not in said, said
                return dict(said["result"])

    def open(self, url: str) -> None:
        """Go to an address, as if it were typed."""
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def run(self, script: str) -> Any:
        """The value of an expression on the page."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        return found["result"].get("value")

    def wait(self, script: str) -> None:
        """Wait until an expression is true on whatever page is there by then."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self.run(f"!!({script})"):
                return
            time.sleep(0.05)
        raise TimeoutError(f"not true: {script} at {self.run('location.href')}")

    def type(self, text: str) -> None:
        """Type into whatever has the focus."""
        self.call("Input.insertText", text=text)

    def press(self, key: str) -> None:
        """Press a key and let it go."""
        code, text = KEYS[key]
        pressed = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **pressed)
        self.call("Input.dispatchKeyEvent", type="keyUp", **pressed)

    @property
    def focus(self) -> str:
        """What has the focus: its id, or else its text."""
        return str(self.run("document.activeElement.id || document.activeElement.innerText.trim()"))

    def see(self, width: int, dark: bool = False, picture: Path | None = None) -> int:
        """Look at the page at a width, in the light or the dark; gives how wide it needs to be."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        if picture is not None:
            shot = self.call("Page.captureScreenshot")
            picture.write_bytes(base64.b64decode(shot["data"]))
        return int(self.run("document.documentElement.scrollWidth"))

    def _next(self) -> dict[str, Any]:
        text = bytearray()
        while (byte := self._answers.read(1)) != b"\0":
            assert byte, "Chromium has ended"
            text += byte
        said: dict[str, Any] = json.loads(text)
        given = said.get("params", {})
        if said.get("method") == "Network.requestWillBeSent":
            self.asked.append(given["request"]["url"])
        elif said.get("method") == "Log.entryAdded":
            self.complaints.append(given["entry"]["text"])
        elif said.get("method") == "Runtime.consoleAPICalled":
            self.complaints.append(str(given["args"]))
        return said


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A Chromium with a profile of its own, which knows no host but this one."""
    ours, theirs = os.pipe(), os.pipe()
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", f"--user-data-dir={profile}",
        "--remote-debugging-pipe", "about:blank",
    ]  # fmt: skip
    # The browser reads what it is asked from descriptor 3 and answers on 4.
    place = f'exec "$@" 3<&{ours[0]} 4>&{theirs[1]}'
    process = subprocess.Popen(
        ["bash", "-c", place, "bash", *command],
        pass_fds=(ours[0], theirs[1]), stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(ours[0])
    os.close(theirs[1])
    try:
        with os.fdopen(ours[1], "wb") as ask, os.fdopen(theirs[0], "rb") as answers:
            yield Browser(ask, answers)
    finally:
        process.terminate()
        process.wait(20)
