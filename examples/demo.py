"""The main job on one screen: train, serve, score one customer.

Runs the commands that a person would type and prints what they answer: `python -m training
train`, `python -m serving import`, `keys create` and `run`, one `POST /v1/scores`. `make demo`
calls it.
"""

import argparse
import json
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from pathlib import Path

START_SECONDS = 120
LIST_SECONDS = 300


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--workspace", type=Path, default=Path("workspace"))
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--stop", action="store_true", help="stop after printing")
    chosen = parser.parse_args()
    common = [str(chosen.config), "--workspace", str(chosen.workspace)]

    trained = subprocess.run([sys.executable, "-m", "training", "train", *common])
    if trained.returncode:
        return trained.returncode
    imported = subprocess.run([sys.executable, "-m", "serving", "import", *common])
    if imported.returncode:
        return imported.returncode

    if in_use(chosen.host, chosen.port):
        print(
            f"\nport {chosen.port} is in use; try: make demo PORT={chosen.port + 1}",
            file=sys.stderr,
        )
        return 1
    address = f"http://{chosen.host}:{chosen.port}"
    print(f"\nstarting the service on {address}", flush=True)
    place = ["--host", chosen.host, "--port", str(chosen.port)]
    key = make_key(common)
    service = subprocess.Popen([sys.executable, "-m", "serving", "run", *common, *place])
    try:
        if not wait_until_ready(service, address):
            return 1
        show(chosen.config, address, key)
        print(f"open in a browser: {address}{sign_in_link(common, key)}")
        if chosen.stop:
            return 0
        print("\nThe service runs until you press Ctrl-C.", flush=True)
        return service.wait()
    except KeyboardInterrupt:
        print("\nstopped")
        return 0
    finally:
        stop(service)


def make_key(common: list[str]) -> str:
    """A key for this demonstration, which stops working after a day."""
    command = [sys.executable, "-m", "serving", "keys", "create", *common]
    flags = ["--name", "demo", "--scopes", "score,read,ingest", "--days", "1"]
    return subprocess.check_output([*command, *flags], text=True).strip()


def sign_in_link(common: list[str], key: str) -> str:
    """A path that opens the list in a browser, once."""
    command = [sys.executable, "-m", "serving", "keys", "link", *common]
    return subprocess.check_output([*command, "--id", key.split("_")[1]], text=True).strip()


def in_use(host: str, port: int) -> bool:
    """Whether another program answers there; its answer must not pass for ours."""
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


def wait_until_ready(service: subprocess.Popen[bytes], address: str) -> bool:
    """Ask /readyz until it says ready; say why when it never does."""
    why = "no answer"
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and service.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/readyz", timeout=5):
                return True
        except urllib.error.HTTPError as error:
            why = error.read().decode()
            break
        except OSError:
            time.sleep(0.25)
    if service.poll() is not None:
        why = f"it ended with exit code {service.returncode}; is another program using the port?"
    print(f"The service did not become ready: {why}", file=sys.stderr)
    return False


def show(config: Path, address: str, key: str) -> None:
    """Score the customer at the top of the first problem's list, and say how to go on."""
    problem = next(iter(tomllib.loads(config.read_text())["problems"]))
    listed = first_of_list(f"{address}/v1/at-risk?problem={problem}&limit=1", key)
    customer = listed["customers"][0]["customer"]
    body = json.dumps({"problem": problem, "customer": customer})
    answer = ask(f"{address}/v1/scores", key, body)
    print(f"\nOf {listed['cohort']:,} customers this one has the highest {problem} score:\n")
    print(json.dumps({k: v for k, v in answer.items() if k != "reasons"}, indent=2))
    print("\nwhy:")
    for reason in answer["reasons"]:
        print(f"  {reason['points']:+6.1f}  {reason['statement']}")
    print(f"\nthe at-risk list:  {address}/at-risk")
    print(f"the API:           {address}/docs")
    print(
        f"this score again:  curl -s {address}/v1/scores "
        f"-H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' -d '{body}'"
    )


def first_of_list(url: str, key: str) -> dict:
    """The list, which is made in the first moments after the service starts."""
    print("scoring all customers for the list", flush=True)
    deadline = time.monotonic() + LIST_SECONDS
    while True:
        try:
            return ask(url, key)
        except urllib.error.HTTPError as error:
            if error.code != 503 or time.monotonic() > deadline:
                raise
            time.sleep(1)


def ask(url: str, key: str, body: str | None = None) -> dict:
    """GET a URL, or POST JSON to it."""
    data = None if body is None else body.encode()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    request = urllib.request.Request(url, data, headers)
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def stop(service: subprocess.Popen[bytes]) -> None:
    """End the service as Ctrl-C would."""
    if service.poll() is None:
        service.send_signal(signal.SIGINT)
        try:
            service.wait(20)
        except subprocess.TimeoutExpired:
            service.kill()


if __name__ == "__main__":
    sys.exit(main())
