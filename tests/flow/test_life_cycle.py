"""Start, refusal to start, stop and crash of `fastroute serve`, as an operator sees them."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flow.rig import (
    COMMAND,
    PYTHON,
    Command,
    Door,
    Gateway,
    Serve,
    Upstream,
    ask_raw,
    chat,
    configuration,
    data_process,
    eventually,
    finishes,
    free_port,
    read,
)

QUICK_S = 0.5
CANARY = "canary-4f1d"


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Any]:
    """`command("serve", …)`: a command that ends with the test."""
    started: list[Command] = []

    def start(*arguments: str, **env: str) -> Command:
        started.append(Command(tmp_path / f"command-{len(started)}.log", *arguments, env=env))
        return started[-1]

    yield start
    for each in started:
        each.stop()


def cpu_s(process: Command) -> float:
    """CPU time of a child that has ended, so that neighbours on the machine do not count."""
    before = os.times()
    process.wait()
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


def test_a_taken_port_names_its_holder_and_the_next_free_one(command: Any) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        refused = command("serve", "--port", str(port))
        assert refused.wait() == 2
    assert f"port {port}" in refused.output
    assert f"(process {os.getpid()})" in refused.output
    free = int(refused.output.split(" is free")[0].split()[-1])
    assert port < free < port + 100
    assert "Traceback" not in refused.output


def test_a_listener_for_everyone_needs_a_word_and_the_refusal_says_which(command: Any) -> None:
    refused = command("serve", "--host", "0.0.0.0", "--port", "0")
    assert cpu_s(refused) < QUICK_S
    assert refused.process.returncode == 2
    assert "--open" in refused.output
    assert "127.0.0.1" in refused.output
    opened = command("serve", "--host", "0.0.0.0", "--port", "0", "--open")
    opened.urls(2)


def test_a_bad_configuration_is_told_whole_before_anything_starts(command: Any, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(
        "listen: {port: 70000}\n"
        "providers: {a: {dialect: openai_chatt, address: http://127.0.0.1:1}}\n"
        "models:\n  m:\n    targets: [nobody/x]\n    policy: no.such:thing\n"
        "limitz: {}\n"
    )
    refused = command("serve", "-c", str(file))
    assert refused.wait() == 2
    for place in ("bad.yaml:1:", "bad.yaml:2:", "bad.yaml:5:", "bad.yaml:7:"):
        assert place in refused.output
    assert "Traceback" not in refused.output


def test_a_key_in_the_environment_is_a_provider_and_is_never_shown(command: Any) -> None:
    started = command("serve", "--port", "0", OPENAI_API_KEY=f"sk-{CANARY}", GROQ_API_KEY=f"gsk-{CANARY}")
    started.urls(2)
    providers = next(line for line in started.output.splitlines() if line.strip().startswith("providers"))
    assert "openai ($OPENAI_API_KEY)" in providers
    assert "groq ($GROQ_API_KEY)" in providers
    assert CANARY not in started.output


def test_without_any_key_it_echoes_and_says_what_to_set(command: Any) -> None:
    started = command("serve", "--port", "0")
    granian, _edge = started.urls(2)
    assert "OPENAI_API_KEY" in started.output
    reply = Door("granian", granian).ask("mock/echo")
    assert json.loads(reply.body)["choices"][0]["message"]["content"]


def test_an_address_in_the_environment_that_is_ourselves_is_not_called(command: Any) -> None:
    port = free_port()
    # Of three ports in a row the other two may be taken.
    ports = ("--port", str(port), "--edge-port", "0", "--admin-port", "0")
    itself = f"http://127.0.0.1:{port}/v1"
    started = command("serve", *ports, OPENAI_API_KEY=f"sk-{CANARY}", OPENAI_BASE_URL=itself)
    started.urls(2)
    # Nobody is called here: whatever else the address would be is not on this machine.
    eventually(lambda: "OPENAI_BASE_URL" in started.output.split("SDKs")[0], "the screen tells why it is not taken")
    assert "it points at this gateway" in started.output
    assert CANARY not in started.output


def endless(upstream: Upstream, gateway: Gateway, door: Door) -> socket.socket:
    upstream.script({"match": {"stream": True}, "steps": [{"events": {"count": 10_000, "every_ms": 10}}]})
    client = ask_route(door, stream=True)
    assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
    return client


def ask_route(door: Door, **more: Any) -> socket.socket:
    from flow.rig import Route

    return ask_raw(door, Route("patient-0", "patient-0-first", "patient-0-second"), **more)


@pytest.mark.parametrize("name", ["granian", "edge"])
def test_a_stop_finishes_the_streams_that_run(name: str, upstream: Upstream, serve: Serve) -> None:
    gateway = serve(configuration(upstream.origin, free_port()))
    door = gateway.doors[name]
    upstream.script(
        {"match": {"stream": True}, "steps": [{"events": {"count": 150, "every_ms": 50}}, {"finish": {}}, "done"]}
    )
    connection = door.connect()
    connection.request("POST", "/v1/chat/completions", chat("patient-0", stream=True))
    response = connection.getresponse()
    gateway.command.process.send_signal(signal.SIGTERM)
    eventually(lambda: door.send("GET", "/readyz").status == 503, "readiness is off")
    # For the first five seconds requests are still taken: balancers have not looked yet.
    assert door.ask("patient-0").status == 200
    reply = read(response)
    assert (finishes(reply.events), reply.events[-1]) == (["stop"], "[DONE]")
    assert gateway.command.wait(20) == 0
    assert '"level":"error"' not in gateway.command.output
    with pytest.raises(ConnectionRefusedError):
        door.socket()


@pytest.mark.parametrize("end", ["the deadline", "a second interrupt"])
@pytest.mark.parametrize("name", ["granian", "edge"])
def test_an_endless_stream_ends_with_an_error_event_at(end: str, name: str, upstream: Upstream, serve: Serve) -> None:
    limit_s = 0.5 if end == "the deadline" else 60
    admin = Door("admin", f"http://127.0.0.1:{free_port()}")
    gateway = serve(configuration(upstream.origin, admin.place[1], drain_timeout_s=limit_s))
    door = gateway.doors[name]
    upstream.script({"match": {"stream": True}, "steps": [{"events": {"count": 10_000, "every_ms": 100}}]})
    connection = door.connect()
    connection.request("POST", "/v1/chat/completions", chat("patient-0", stream=True))
    response = connection.getresponse()
    began = time.monotonic()
    gateway.command.process.send_signal(signal.SIGINT)
    if end == "a second interrupt":
        eventually(lambda: admin.send("GET", "/readyz").status == 503, "it is stopping")
        gateway.command.process.send_signal(signal.SIGINT)
    reply = read(response)
    assert reply.whole
    assert reply.events[-1]["error"]["code"] == "server_shutdown"
    assert finishes(reply.events) == []
    assert gateway.command.wait() == 0
    assert time.monotonic() - began < 4
    eventually(lambda: upstream.rows("patient-0-first")[0]["ended"] == "cancelled", "the upstream saw the end")


@pytest.mark.parametrize("phase", ["a stream without content", "a plain reply", "a body"])
@pytest.mark.parametrize("name", ["granian", "edge"])
def test_what_has_nothing_to_show_at_the_deadline_is_told_to_come_back(
    name: str, phase: str, upstream: Upstream, serve: Serve
) -> None:
    admin = free_port()
    gateway = serve(configuration(upstream.origin, admin, drain_timeout_s=0.5))
    connection = gateway.doors[name].connect()
    body = chat("patient-0", stream=phase == "a stream without content")
    upstream.script({"match": {}, "steps": [{"delay": {"ms": 60_000}}]})
    connection.putrequest("POST", "/v1/chat/completions")
    connection.putheader("content-length", str(len(body) + 100_000 * (phase == "a body")))
    connection.endheaders(body)
    if phase == "a body":
        metrics = Door("admin", f"http://127.0.0.1:{admin}")
        eventually(lambda: b"\nfastroute_in_flight 1\n" in metrics.send("GET", "/metrics").body, "it is being read")
    else:
        eventually(lambda: upstream.rows("patient-0-first"), "it is under way")
    gateway.command.process.send_signal(signal.SIGINT)
    reply = read(connection.getresponse())
    assert (reply.status, reply.error["code"]) == (503, "server_shutdown")
    assert reply.headers["x-should-retry"] == "true"
    assert int(reply.headers["retry-after"]) >= 1
    assert reply.headers["connection"] == "close"
    assert gateway.command.wait() == 0
    assert len(upstream.rows()) == (0 if phase == "a body" else 1), "no other target is tried"


def test_a_plain_reply_that_granians_door_still_gathers_is_told_to_come_back_as_well(
    upstream: Upstream, serve: Serve
) -> None:
    gateway = serve(configuration(upstream.origin, free_port(), drain_timeout_s=0.5))
    head = {"head": {"framing": "chunked", "content_type": "application/json"}}
    begin = {"send": {"utf8": '{"choices":[{"message":{"content":"'}}
    upstream.script({"match": {}, "steps": [head, begin, {"send": {"utf8": "word ", "repeat": 40_000}}, "stall"]})
    connection = gateway.doors["granian"].connect()
    connection.request("POST", "/v1/chat/completions", chat("patient-0"))
    sent = 200_000
    eventually(lambda: sum(row["bytes_sent"] for row in upstream.rows("patient-0-first")) >= sent, "it is under way")
    gateway.command.process.send_signal(signal.SIGINT)
    reply = read(connection.getresponse())
    assert (reply.status, reply.error["code"]) == (503, "server_shutdown")
    assert reply.headers["x-should-retry"] == "true"
    assert gateway.command.wait() == 0


@pytest.mark.parametrize("name", ["granian", "edge"])
def test_an_interrupt_does_not_wait_for_balancers(name: str, upstream: Upstream, serve: Serve) -> None:
    gateway = serve(configuration(upstream.origin, free_port(), drain_timeout_s=0.5))
    with endless(upstream, gateway, gateway.doors[name]):
        began = time.monotonic()
        gateway.command.process.send_signal(signal.SIGINT)
        assert gateway.command.wait(20) == 0
        assert time.monotonic() - began < 4, "without the 5 s in which balancers look"
    eventually(lambda: upstream.rows("patient-0-first")[0]["ended"] == "cancelled", "the upstream saw the end")


def test_a_stop_that_comes_with_the_first_screen_is_obeyed(tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(PYTHON)}
    # It takes luck to hit the moment before the supervisor waits, so every line of the screen gets its turn.
    for line in range(8):
        command = [*COMMAND, "serve", "--port", "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as process:
            assert process.stdout is not None
            for _ in range(line % 7 + 1):
                assert process.stdout.readline()
            process.send_signal(signal.SIGINT)
            try:
                _, said = process.communicate(timeout=20)
            finally:
                process.kill()
            assert process.returncode == 0, said


def test_a_killed_data_process_is_replaced_on_the_same_ports(upstream: Upstream, serve: Serve) -> None:
    gateway = serve(configuration(upstream.origin, free_port()))
    first = gateway.process
    with endless(upstream, gateway, gateway.doors["edge"]) as client:
        os.kill(first, signal.SIGKILL)
        eventually(lambda: data_process(gateway.command) not in (0, first), "another process")

        def drained() -> bool:
            try:
                return client.recv(65_536) == b""
            except ConnectionError:
                return True

        eventually(drained, "the stream is cut, not left hanging")
    for door in gateway.doors.values():
        assert door.ask("patient-0").status == 200
    assert "ended with status -9" in gateway.command.output


@pytest.mark.long
def test_a_data_process_that_hangs_does_not_keep_its_supervisor_from_stopping(upstream: Upstream, serve: Serve) -> None:
    config = configuration(upstream.origin, free_port())
    gateway = serve({**config, "limits": {**config.get("limits", {}), "drain_timeout_s": 1}})
    os.kill(gateway.process, signal.SIGSTOP)
    gateway.command.process.send_signal(signal.SIGTERM)
    assert gateway.command.process.wait(60) == 1
    assert "is killed" in gateway.command.output


def test_a_data_process_does_not_outlive_its_supervisor(upstream: Upstream, serve: Serve) -> None:
    gateway = serve(configuration(upstream.origin, free_port()))
    child = gateway.process
    gateway.command.process.kill()
    gateway.command.wait()
    eventually(lambda: not Path(f"/proc/{child}/cmdline").exists() or is_dead(child), "it noticed and left")


def is_dead(pid: int) -> bool:
    """A zombie waits for whoever inherited it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def test_no_key_prompt_or_reply_is_in_what_the_gateway_says(upstream: Upstream, serve: Serve) -> None:
    config = configuration(upstream.origin, free_port())
    config["observability"] = {"log_level": "debug"}
    # A refused key is not used again, so there are more than are refused; and each makes every model a target.
    config["models"] = {"patient-0": config["models"]["patient-0"]}
    del config["providers"]["up"]["key"]
    config["providers"]["up"]["keys"] = [f"sk-{CANARY}-{number}" for number in range(64)]
    config["models"]["tripping"] = {"targets": ["up/a", "up/b"], "policy": "flow_policies:raises"}
    gateway = serve(config)
    said = {"error": {"message": CANARY, "type": CANARY, "code": CANARY}}
    faults: list[list[Any]] = [
        [{"reply": {"text": CANARY}}],
        [{"status": {"code": 401, "body": said}}],
        [{"status": {"code": 400, "body": said}}],
        [{"events": {"count": 3, "text": CANARY}}, "reset"],
        [{"error_event": {"data": said}}],
        [{"raw": {"utf8": f"HTTP/1.1 2{CANARY}\r\n\r\n"}}, "close"],
    ]
    for door in gateway.doors.values():
        for steps in faults:
            upstream.script({"steps": steps})
            for stream in (False, True):
                for model in ("patient-0", "tripping", f"{CANARY}-model"):
                    body = chat(model, stream=stream, user=CANARY, messages=[{"role": "user", "content": CANARY}])
                    door.post(body, {"authorization": f"Bearer sk-{CANARY}"})
        door.post(f'{{"model":"m","{CANARY}":{CANARY}'.encode())
        door.send("GET", f"/v1/{CANARY}?key={CANARY}")
    gateway.command.process.send_signal(signal.SIGINT)
    gateway.command.wait()
    assert "rests" in gateway.command.output, "something was said at all"
    assert CANARY not in gateway.command.output
