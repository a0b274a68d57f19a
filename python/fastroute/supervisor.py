"""The parent process: holds the listeners, starts the data process by exec, forwards signals, starts it again.

The rule: it holds the sockets, so a data process that dies loses its exchanges but not one waiting connection. It
answers no request itself. The surprise: it keeps the last configuration that was taken over, and whoever is started
again gets that one, whatever the file says by then.
"""

import contextlib
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

import msgspec

from fastroute.config.schema import Config, pack
from fastroute.errors import ConfigError, FastrouteError, Mistake
from fastroute.listeners import LAME_DUCK_S, Listener
from fastroute.reload.channel import Channel, Next, Verdict
from fastroute.reload.watch import LOOK_S, ConfigFile, Watch, is_empty, not_at_run_time
from fastroute.state_dir import Instance
from fastroute.telemetry.logs import write_to_stderr

log = logging.getLogger("fastroute.supervisor")

YOUNG_S = 5.0
"""A data process that ends sooner than this after it was ready did not really run."""
YOUNG_DEATHS = 5
"""So many of those in a row, of its own accord or before it was ready, and the fault is not passing."""
OWN_FAULTS = frozenset((signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT, signal.SIGSYS))
"""Signals that a process earns by itself; every other one was sent to it."""
SHUT_LATE_S = 0.1
"""It has stopped accepting by then."""
KILL_LATE_S = 20.0
"""It has said its last words, settled and synced long before; one that has not ended by then hangs."""
BACKOFF_S = 0.1
BACKOFF_CAP_S = 0.5
"""With a start of a second, whoever is killed over and over serves again within two."""
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": str(4 << 20), "MALLOC_TRIM_THRESHOLD_": str(64 << 20)}
"""glibc gives memory back to the kernel as soon as a few bodies of 1 MiB are free, and the next ones pay for every page
of it again. What it would come to keep by itself, after a body of 32 MiB, it keeps from the start (mallopt(3))."""


class NotServing(FastrouteError):
    """A data process ended before it served anybody."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the data process ended with status {status} before it was ready")
        self.status = status


def environment(own: Mapping[str, str]) -> dict[str, str]:
    """The environment of a data process: ours, and settings of its allocator where the operator made none."""
    return ALLOCATOR | dict(own)


class Supervisor:
    """Keeps one data process running on the given listeners until told to stop.

    `file` is where `config` came from, to be read again when it changes or on SIGHUP.
    """

    def __init__(
        self,
        config: Config,
        listeners: Sequence[Listener],
        threads: int = 0,
        instance: Instance | None = None,
        file: ConfigFile | None = None,
    ) -> None:
        self._config = config
        self._generation = 1
        self._listeners = listeners
        self._threads = threads
        self._instance = instance
        self._file = file
        self._watch = Watch(file.path) if file else None
        self._child: subprocess.Popen[bytes] | None = None
        self._channel: Channel[Verdict] | None = None
        self._offered: dict[int, Config] = {}
        """Configurations the data process has not judged yet."""
        self._last_offer = self._generation
        self._unheard = False
        """A data process ended before it judged what it was offered: its successor is offered it again."""
        self._second_offer = False
        """Once; what ends a second one is not offered to a third."""
        self._stopping = False
        self._shut_at_s: float | None = None
        """When whoever connects is to be refused."""
        self._kill_at_s: float | None = None
        """When a data process that was told to stop has hung for too long."""
        self._signals = 0
        self._hung_up = False
        self._terminal = _has_terminal() and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
        self._bell, self._wake = socket.socketpair()
        # Held open for as long as we live; its end of file is how a data process notices that we are gone.
        self._lifeline_read, self._lifeline_write = os.pipe()

    def start(self) -> None:
        """Starts a data process and waits until it serves. Raises ConfigError with what it said if it does not."""
        errand_read, errand_write = os.pipe()
        report_read, report_write = os.pipe()
        ours, theirs = socket.socketpair()
        sockets = {listener.name: listener.socket.fileno() for listener in self._listeners}
        held = () if self._instance is None else (self._instance.lock,)
        inherited = (*sockets.values(), errand_read, report_write, self._lifeline_read, theirs.fileno(), *held)
        self._child = subprocess.Popen(
            [sys.executable, "-m", "fastroute.process", str(errand_read)],
            pass_fds=inherited,
            env=environment(os.environ),
            # A terminal's Ctrl-C reaches the supervisor alone, which passes it on.
            start_new_session=True,
        )
        os.close(errand_read)
        os.close(report_write)
        errand = {
            "config": pack(self._config),
            "listeners": [listener.place for listener in self._listeners],
            "door": sockets["granian"],
            "edge": sockets.get("edge"),
            "admin": sockets.get("admin"),
            "lifeline": self._lifeline_read,
            "report": report_write,
            "control": theirs.fileno(),
            "generation": self._generation,
            "threads": self._threads,
            "journal": None if self._instance is None else str(self._instance.journal),
        }
        theirs.close()
        self._hang_up_on_it()
        self._channel = Channel(ours, Verdict)
        try:
            # One that is killed before it reads says nothing either, and that is looked at below.
            with contextlib.suppress(BrokenPipeError), os.fdopen(errand_write, "wb") as pipe:
                pipe.write(msgspec.msgpack.encode(errand))
            with os.fdopen(report_read, "rb") as pipe:
                said = pipe.read().decode().strip()
        except KeyboardInterrupt:
            # It serves nobody yet, so nothing is cut; and whoever starts again at once finds the ports free.
            self._child.kill()
            self._child.wait()
            raise
        if said != "ready":
            status = self._child.wait()
            if not said:
                raise NotServing(status)
            # What it takes back in its own words is for the user to put right, such as a policy that is not there.
            raise ConfigError([Mistake("", 0, 0, "", said)])
        # From here on it can be stopped well; who waits for the first screen may stop it with the first line.
        self._watch_signals()

    def run(self) -> int:
        """Waits, forwards signals, reads the configuration again, and starts the data process again when it dies.

        Returns the exit status.
        """
        write_to_stderr(self._config.observability.log_level)
        deaths = faults = 0
        while True:
            began = time.monotonic()
            status = self._attend()
            if self._stopping:
                return 0 if status == 0 else 1
            if time.monotonic() - began >= YOUNG_S:
                deaths = faults = 0
            log.error("the data process ended with status %d and is started again", status)
            while True:
                deaths += 1
                # Whoever was killed may be killed again, and it is no fault that adds up.
                faults = 0 if _was_killed(status) else faults + 1
                if faults > YOUNG_DEATHS:
                    log.critical("the data process does not stay up; giving up")
                    return 1
                self._pause(min(BACKOFF_S * 2 ** (deaths - 2), BACKOFF_CAP_S) if deaths > 1 else 0.0)
                if self._stopping:
                    return 0
                try:
                    self.start()
                except FastrouteError as error:
                    # A stop may reach a child that cannot yet stop well; nothing served, so nothing was cut.
                    if self._stopping:
                        return 0
                    log.error("the data process could not be started again: %s", error)
                    status = error.status if isinstance(error, NotServing) else 1
                else:
                    break
            if self._stopping and self._child is not None:
                # The signal came while there was no child to pass it on to.
                self._child.send_signal(signal.SIGTERM)

    def _watch_signals(self) -> None:
        """Every signal also rings the bell. Idempotent."""
        for end in (self._bell, self._wake):
            end.setblocking(False)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._forward)
        signal.signal(signal.SIGHUP, self._hang_up)
        # Its death rings too; there is nothing more to do.
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)

    def _attend(self) -> int:
        """Does what comes up until the data process ends; returns its status."""
        # Not waitpid: Python runs a handler between two instructions or when a call is interrupted, so a signal that
        # comes just before the call would wait for the next one. The bell has rung by then.
        while self._child is not None:
            status = self._child.poll()
            if status is not None:
                return status
            wait_s = LOOK_S if self._watch else None
            if self._stopping:
                due = [left for left in (self._shut_doors(), self._kill()) if left is not None]
                wait_s = min(due, default=None)
            else:
                self._look_for_another_configuration()
            heard = [self._bell] if self._channel is None else [self._bell, self._channel]
            told = [self._channel] if self._channel is not None and self._channel.busy else []
            ready, takes, _ = select.select(heard, told, [], wait_s)
            if self._bell in ready:
                self._bell.recv(4096)
            if self._channel in ready:
                self._hear()
            if self._channel in takes:
                self._say()
        return 0

    def _shut_doors(self) -> float | None:
        """Shuts the doors once the grace is over; the seconds until then, None afterwards.

        The data process only stops accepting. While these sockets listen the kernel accepts for it, and clients would
        wait in a queue that nobody serves any more for as long as the last stream runs.
        """
        if self._shut_at_s is None:
            return None
        left_s = self._shut_at_s - time.monotonic()
        if left_s > 0:
            return left_s
        self._shut_at_s = None
        for listener in self._listeners:
            if listener.name != "admin":
                with contextlib.suppress(OSError):
                    listener.socket.shutdown(socket.SHUT_RDWR)
        return None

    def _kill(self) -> float | None:
        """Kills a data process that does not stop; the seconds until then. What it left open the next start settles."""
        if self._kill_at_s is None or self._child is None:
            return None
        left_s = self._kill_at_s - time.monotonic()
        if left_s > 0:
            return left_s
        self._kill_at_s = None
        log.critical("the data process does not stop and is killed")
        self._child.kill()
        return None

    def _pause(self, pause_s: float) -> None:
        """Sleeps, unless told to stop."""
        end = time.monotonic() + pause_s
        while not self._stopping and (left := end - time.monotonic()) > 0:
            select.select([self._bell], [], [], left)
            with contextlib.suppress(BlockingIOError):
                self._bell.recv(4096)

    def _look_for_another_configuration(self) -> None:
        if self._channel is None or self._channel.busy:
            # What it is told next is read when it takes it.
            return
        if self._unheard and self._file is not None and self._watch is not None:
            self._unheard, self._second_offer = False, True
            self._watch.taken()
            self._offer(self._file)
        elif self._hung_up:
            self._hung_up = False
            if self._file is None or self._watch is None:
                log.info("there is no configuration file to read again")
                return
            self._watch.taken()
            self._offer(self._file)
        elif self._file is not None and self._watch is not None and self._watch.look():
            self._offer(self._file)

    def _offer(self, file: ConfigFile) -> None:
        """Reads the file and passes it on. What is wrong with it is told, and changes nothing."""
        self._last_offer += 1
        if is_empty(file.path):
            self._refused([f"{file.path}: it is empty, and nobody is to lose every model by that"])
            self._say(Next(self._last_offer))
            return
        try:
            config = file.read()
        except ConfigError as error:
            self._refused([str(mistake) for mistake in error.mistakes])
            self._say(Next(self._last_offer))
            return
        except Exception as error:  # noqa: BLE001 - a defect of ours must not take the gateway down
            self._refused([f"{file.path}: it could not be read: {type(error).__name__}"])
            self._say(Next(self._last_offer))
            return
        self._offered[self._last_offer] = config
        self._say(Next(self._last_offer, pack(config)))

    def _say(self, told: Next | None = None) -> None:
        """Tells it, or goes on with what it was being told. One that does not listen is told when it does."""
        if self._channel is None:
            return
        try:
            if told is None:
                self._channel.flush()
            else:
                self._channel.post(told)
        except OSError:
            # It is about to end.
            self._hang_up_on_it()

    def _hear(self) -> None:
        """Takes the data process's verdicts."""
        if self._channel is None:
            return
        try:
            for verdict in self._channel.receive():
                config = self._offered.pop(verdict.generation, None)
                self._second_offer = False
                if verdict.flaws:
                    self._refused(verdict.flaws)
                elif config is not None and verdict.generation > self._generation:
                    self._taken_over(config, verdict.generation)
        except (EOFError, OSError):
            # It is about to end.
            self._hang_up_on_it()

    def _taken_over(self, config: Config, generation: int) -> None:
        later = not_at_run_time(self._config, config)
        self._config, self._generation = config, generation
        logging.getLogger().setLevel(config.observability.log_level.upper())
        log.info("the configuration was taken over as generation %d", generation)
        if later:
            log.warning("changed in the file, and in use from the next start on: %s", ", ".join(later))

    def _refused(self, flaws: Sequence[str]) -> None:
        for flaw in flaws:
            # Not as an argument: the throttle on repeated lines goes by the template, and each mistake is to be seen.
            log.error(flaw)
        log.error("the configuration was not taken over; the one of generation %d goes on", self._generation)

    def _hang_up_on_it(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._offered and self._second_offer:
            self._refused(["the data process ended twice over it"])
        self._unheard |= bool(self._offered) and not self._second_offer
        self._second_offer = False
        self._offered.clear()

    def _forward(self, number: int, _frame: object) -> None:
        at_once = self._stopping or number != signal.SIGTERM
        if at_once or self._shut_at_s is None:
            self._shut_at_s = time.monotonic() + SHUT_LATE_S + (0.0 if at_once else LAME_DUCK_S)
        self._stopping = True
        self._signals += 1
        # The second one makes it hurry, the third one makes it end what runs.
        drain_s = self._config.limits.drain_timeout_s if self._signals < 3 else 0.0
        kill_at_s = time.monotonic() + LAME_DUCK_S + drain_s + KILL_LATE_S
        self._kill_at_s = kill_at_s if self._kill_at_s is None else min(self._kill_at_s, kill_at_s)
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(number)

    def _hang_up(self, _number: int, frame: object) -> None:
        if self._terminal and not _has_terminal():
            # Nobody asks for another configuration: the window was closed.
            self._forward(signal.SIGINT, frame)
        self._hung_up = True


def _was_killed(status: int) -> bool:
    return status < 0 and -status not in OWN_FAULTS


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
