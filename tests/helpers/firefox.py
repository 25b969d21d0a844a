"""Firefox, driven by WebDriver BiDi: Playwright drives only a Firefox of its own."""

import asyncio
import json
import re
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tornado.websocket import websocket_connect

SECONDS = 60  # that any answer may take


class Firefox:
    """A headless Firefox with one tab."""

    def __init__(self, program: str, profile: Path) -> None:
        self.loop = asyncio.new_event_loop()
        # Playwright may run a loop in the thread of the tests.
        self.thread = threading.Thread(target=self.loop.run_forever, name="firefox")
        self.thread.start()
        self.number = 0
        self.events: list[dict[str, Any]] = []
        self.log = profile.with_suffix(".log").open("w+")
        self.process = subprocess.Popen(
            [
                *(program, "--headless", "--no-remote", "--profile", str(profile)),
                *("--remote-debugging-port", "0", "about:blank"),
            ],
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )
        try:
            self.connect()
        except BaseException:
            self.end()
            raise

    def connect(self) -> None:
        address = self.run(self.address)
        self.socket = self.run(websocket_connect, f"{address}/session", max_message_size=2**28)
        self.send("session.new", capabilities={})
        self.send("session.subscribe", events=["log.entryAdded", "network.beforeRequestSent"])
        self.tab = self.send("browsingContext.getTree")["contexts"][0]["context"]

    def run(self, task: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Run what may take a while, in the loop that the socket belongs to; return its result."""

        async def running() -> Any:
            return await asyncio.wait_for(task(*arguments, **options), SECONDS)

        return asyncio.run_coroutine_threadsafe(running(), self.loop).result()

    async def address(self) -> str:
        """Wait until Firefox says where it listens."""
        while True:
            said = re.search(r"BiDi listening on (ws://\S+)", Path(self.log.name).read_text())
            if said:
                return said[1]
            assert self.process.poll() is None, Path(self.log.name).read_text()
            await asyncio.sleep(0.1)

    def send(self, method: str, **params: Any) -> Any:
        """Send a command; return what Firefox answers."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        self.run(self.socket.write_message, json.dumps(message))
        while True:
            answer = json.loads(self.run(self.socket.read_message))
            if answer.get("id") == self.number:
                assert answer["type"] == "success", answer
                return answer["result"]
            self.events.append(answer)

    def goto(self, url: str) -> None:
        self.send("browsingContext.navigate", context=self.tab, url=url, wait="complete")

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression, or of the promise that it is, in JSON."""
        found = self.send(
            "script.evaluate",
            expression=f"(async () => JSON.stringify((await ({expression})) ?? null))()",
            target={"context": self.tab},
            awaitPromise=True,
        )
        assert found["type"] == "success", found
        return json.loads(found["result"]["value"])

    def complaints(self) -> list[str]:
        """What the console says, and which requests leave the page."""
        found = []
        for event in self.events:
            params = event["params"]
            if event["method"] == "log.entryAdded":
                found.append(f"console {params['level']}: {params['text']}")
            elif not params["request"]["url"].startswith(("file:", "data:", "blob:", "about:")):
                found.append(f"asks {params['request']['url']}")
        return found

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(SECONDS)
        self.log.close()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()
