"""What a change of the configuration is, what waits for the next start, and whole messages over any cutting."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from fastroute.config.schema import Config, Limits, Listen, Model, Observability
from fastroute.reload.channel import Channel, Next
from fastroute.reload.watch import Watch, not_at_run_time


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text("one")
    return path


def test_a_change_is_told_once_and_only_when_it_is_quiet(file: Path) -> None:
    watch = Watch(str(file))
    assert [watch.look(), watch.look()] == [False, False]
    file.write_text("")
    assert not watch.look(), "it may still be written"
    file.write_text("three")
    assert not watch.look(), "it was"
    assert [watch.look(), watch.look()] == [True, False]


def test_a_file_that_is_gone_is_no_change_and_the_one_that_comes_back_is(file: Path) -> None:
    watch = Watch(str(file))
    file.unlink()
    assert [watch.look(), watch.look()] == [False, False]
    file.write_text("another")
    assert [watch.look(), watch.look()] == [False, True]


def test_another_file_of_the_same_size_and_time_is_a_change(file: Path, tmp_path: Path) -> None:
    watch = Watch(str(file))
    found = file.stat()
    other = tmp_path / "other"
    other.write_text("two")
    os.utime(other, ns=(found.st_atime_ns, found.st_mtime_ns))
    other.replace(file)
    assert [watch.look(), watch.look()] == [False, True]


def test_a_file_that_was_read_for_another_reason_is_not_read_again(file: Path) -> None:
    watch = Watch(str(file))
    file.write_text("another")
    watch.taken()
    assert [watch.look(), watch.look()] == [False, False]


def test_only_what_a_running_process_cannot_change_waits() -> None:
    before = Config()
    after = Config(
        listen=Listen(port=1, open=True),
        limits=Limits(max_in_flight=1, drain_timeout_s=1),
        models={"a": Model(targets=("mock/echo",))},
        observability=Observability(log_level="debug"),
    )
    assert not_at_run_time(before, after) == ["listen.port", "listen.open", "limits.max_in_flight"]
    assert not_at_run_time(before, before) == []


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, Channel[Next]]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, Channel(theirs, Next)


def test_messages_come_whole_however_they_were_cut(ends: tuple[socket.socket, Channel[Next]]) -> None:
    raw, channel = ends
    told = [Next(2, b"x" * 300), Next(3), Next(4, b"")]
    packed = [msgspec.msgpack.encode(each) for each in told]
    sent = b"".join(len(each).to_bytes(4, "big") + each for each in packed)
    for cut in (1, 3, 7, 100, len(sent)):
        heard: list[Next] = []
        for at in range(0, len(sent), cut):
            raw.sendall(sent[at : at + cut])
            heard += channel.receive()
        assert heard == told, cut


def test_the_end_of_the_other_side_is_an_end(ends: tuple[socket.socket, Channel[Next]]) -> None:
    raw, channel = ends
    raw.close()
    with pytest.raises(EOFError):
        list(channel.receive())
