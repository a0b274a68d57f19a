"""The programs of a measurement: how each is started, on which core, and how we know that it serves.

The rule: what is measured runs on `GATEWAY_CORE`, what measures on `LOAD_CORE`; only one contender gets traffic at a
time, the others wait idle. All files they need are in one temporary folder.
"""

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benches.rig import machine
from benches.rig.peers.recipe import Recipe

GATEWAY_CORE = 0
LOAD_CORE = 1
START_S = 60.0
"""Some peers import for half of it."""
STOP_S = 10.0
SETTLE_S = 2.0
"""After this long an idle process has done what it does at start."""
ROOT = Path(__file__).parents[2]
FAILING = ("w7-503", "w7-reset", "w7-hang")
"""What fails one request in twenty; the mock's script for W7 says how."""


class Program(NamedTuple):
    """A running program and the processes that belong to it."""

    name: str
    process: "subprocess.Popen[bytes]"

    def pids(self) -> list[int]:
        return machine.tree_of(self.process.pid)


class Ports(NamedTuple):
    """Where everything listens, all on loopback."""

    mock: int
    nginx_unary: int
    nginx_stream: int
    granian: int
    edge: int
    admin: int
    echo: int
    peer: int


# For a configuration that nothing listens to: any numbers will do.
SOME_PORTS = Ports(*range(1, 1 + len(Ports._fields)))


class StartError(Exception):
    """A program did not come up; the text holds the end of what it said."""


def free_ports() -> Ports:
    """Ports that are free now, all held at once so that none is given twice."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in Ports._fields]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return Ports(*(each.getsockname()[1] for each in sockets))


def examples() -> Path:
    """Folder of the compiled mock and load generator."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    folder = target / "release" / "examples"
    for name in ("mock", "load"):
        if not (folder / name).exists():
            raise StartError(f"{folder / name} is missing: cargo build --release -p fastroute-engine --examples")
    return folder


def raise_descriptor_limit() -> int:
    """Lets us and everything we start open as many descriptors as allowed; gives that number."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


@contextlib.contextmanager
def running(
    name: str, core: int, command: Sequence[str], folder: Path, *, port: int | None = None, sources: bool = False
) -> Iterator[Program]:
    """Starts a command on a core, waits until its port takes a connection, and ends it afterwards."""
    said = folder / f"{name}.log"
    with said.open("wb") as output:
        process = subprocess.Popen(
            ["taskset", "-c", str(core), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env=os.environ | python_environ() if sources else None,
        )
    try:
        if port is not None:
            _wait_for(port, process, said)
        yield Program(name, process)
    finally:
        _end(process)


def _wait_for(port: int, process: "subprocess.Popen[bytes]", said: Path) -> None:
    end_s = time.monotonic() + START_S
    while time.monotonic() < end_s:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.01)
    last = said.read_text(errors="replace")[-2000:]
    raise StartError(f"{said.stem} does not answer on port {port}:\n{last}")


def first_answer(port: int) -> None:
    """Waits until the gateway answers: its supervisor takes connections long before its data process is there."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=START_S) as response:
        response.read()


def counters(ports: Ports) -> dict[str, int]:
    """What the gateway counts over its life: every row of its metrics without labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{ports.admin}/metrics", timeout=START_S) as response:
        rows = [line.split() for line in response.read().decode().splitlines() if not line.startswith("#")]
    return {name: int(float(value)) for name, value in rows if "{" not in name}


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ends exactly what we started. SIGINT: the gateway leaves without its lame duck, nginx and the mock at once."""
    descendants = machine.tree_of(process.pid)
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        for pid in descendants:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def mock(folder: Path, ports: Ports, workload: str) -> contextlib.AbstractContextManager[Program]:
    """The upstream, with the script that the workload needs."""
    tools = examples()
    printed = subprocess.run(
        [tools / "load", "--workload", workload, "--print-script"], capture_output=True, check=True, text=True
    )
    script = folder / "script.json"
    script.write_text(printed.stdout)
    command = [str(tools / "mock"), "--port", str(ports.mock), "--script", str(script)]
    return running("mock", LOAD_CORE, command, folder, port=ports.mock)


NGINX = """
worker_processes 1;
worker_rlimit_nofile {descriptors};
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log error;
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    tcp_nodelay on;
    keepalive_requests 100000000;
    client_max_body_size 64m;
    client_body_buffer_size 2m;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_max_temp_file_size 0;
    upstream mock {{
        server 127.0.0.1:{mock};
        keepalive 512;
        keepalive_requests 100000000;
    }}
    server {{
        listen 127.0.0.1:{unary} backlog=4096;
        location / {{ proxy_pass http://mock; proxy_buffers 40 32k; }}
        location ~ ^/w7- {{
            proxy_pass http://mock; proxy_buffers 40 32k; proxy_intercept_errors on; error_page 502 503 504 = @second;
        }}
        location @second {{ rewrite ^/w7-[a-z0-9]+(/.*)$ $1 break; proxy_pass http://mock; proxy_buffers 40 32k; }}
    }}
    server {{
        listen 127.0.0.1:{stream} backlog=4096;
        location / {{ proxy_pass http://mock; proxy_buffering off; proxy_read_timeout 600s; }}
        location ~ ^/w7- {{
            proxy_pass http://mock; proxy_buffering off; proxy_read_timeout 50ms;
            proxy_intercept_errors on; error_page 502 503 504 = @second;
        }}
        location @second {{ rewrite ^/w7-[a-z0-9]+(/.*)$ $1 break; proxy_pass http://mock; proxy_buffering off; }}
    }}
}}
"""


def nginx(folder: Path, ports: Ports, descriptors: int) -> contextlib.AbstractContextManager[Program]:
    """The yardstick: one worker, a buffered server block for whole replies and an unbuffered one for streams."""
    config = folder / "nginx.conf"
    config.write_text(
        NGINX.format(
            folder=folder,
            descriptors=descriptors,
            connections=descriptors * 9 // 10,
            mock=ports.mock,
            unary=ports.nginx_unary,
            stream=ports.nginx_stream,
        )
    )
    command = ["nginx", "-p", str(folder), "-c", str(config)]
    return running("nginx", GATEWAY_CORE, command, folder, port=ports.nginx_stream)


def gateway_config(ports: Ports) -> dict[str, Any]:
    """One route with one target, one whose three targets a policy ranks, one whose target speaks Anthropic's dialect,
    and those whose first target fails at times.

    All are the same mock, which knows the failing ones by the first folder of their path.
    """
    origin = f"http://127.0.0.1:{ports.mock}"
    providers = {f"up{number}": {"dialect": "openai_chat", "address": f"{origin}/v1"} for number in (1, 2, 3)}
    failing = {name: {"dialect": "openai_chat", "address": f"{origin}/{name}/v1"} for name in FAILING}
    anthropic = {"own": {"dialect": "anthropic_messages", "address": origin}}
    return {
        "listen": {"port": ports.granian, "edge_port": ports.edge, "admin_port": ports.admin},
        "providers": providers | anthropic | failing,
        "models": {
            "one": {"targets": ["up1/mock-small"]},
            "own": {"targets": ["own/mock-small"]},
            "three": {"targets": [f"{name}/mock-small" for name in providers], "policy": "fastest"},
            **{
                # A retry after a reset or a silence costs the budget two, and one request in ten earns one.
                name: {
                    "targets": [f"{name}/mock-small", "up1/mock-small"],
                    "patience": {"retry_ratio": 1, "ttft_soft_timeout_s": 0.05},
                }
                for name in FAILING
            },
        },
    }


def _config_file(folder: Path, ports: Ports) -> Path:
    # YAML is a superset of JSON.
    config = folder / "gateway.yaml"
    config.write_text(json.dumps(gateway_config(ports), indent=1))
    return config


def python_environ() -> dict[str, str]:
    """The sources beside us first, so that a checkout is measured and not what happens to be installed."""
    return {"PYTHONPATH": str(ROOT / "python")}


def gateway(folder: Path, ports: Ports) -> contextlib.AbstractContextManager[Program]:
    """Supervisor and data process on one core."""
    command = [sys.executable, "-c", "from fastroute.cli import main; main()", "serve"]
    command += ["-c", str(_config_file(folder, ports)), "--state-dir", str(folder / "state")]
    return running("gateway", GATEWAY_CORE, command, folder, port=ports.granian, sources=True)


def busy_gateway(folder: Path, ports: Ports) -> contextlib.AbstractContextManager[Program]:
    """A data process whose loop thread is busy for 5 ms ten times a second."""
    command = [sys.executable, "-m", "benches.rig.busy_process", str(_config_file(folder, ports))]
    return running("gateway", GATEWAY_CORE, command, folder, port=ports.granian, sources=True)


def echo(folder: Path, ports: Ports) -> contextlib.AbstractContextManager[Program]:
    """granian with an application that does nothing."""
    command = [sys.executable, "-m", "benches.rig.echo_process", str(ports.echo)]
    return running("echo", GATEWAY_CORE, command, folder, port=ports.echo)


def peer(folder: Path, ports: Ports, recipe: Recipe) -> contextlib.AbstractContextManager[Program]:
    """Another gateway."""
    command = recipe.command(folder, ports.mock, ports.peer)
    return running("peer", GATEWAY_CORE, command, folder, port=ports.peer)


def hog(folder: Path) -> contextlib.AbstractContextManager[Program]:
    """The same duty as the busy loop thread, as a process of its own."""
    return running("hog", GATEWAY_CORE, [sys.executable, "-m", "benches.rig.busy_process"], folder)
