"""What the supervisor gives a data process, and what it says when one cannot start."""

import pytest

from fastroute.config.schema import Config, Listen, Model, Provider
from fastroute.errors import ConfigError
from fastroute.listeners import open_listeners
from fastroute.supervisor import Supervisor, environment


def test_what_keeps_the_data_process_from_starting_is_told_as_a_mistake() -> None:
    providers = {"a": Provider(dialect="openai_chat", address="http://127.0.0.1:9/v1")}
    models = {"smart": Model(targets=("a/one", "a/two"), policy="no_such_package:rank")}
    listeners = open_listeners(Listen(port=0, edge_port=0, admin_port=0))
    try:
        with pytest.raises(ConfigError, match=r"^models\.smart\.policy: cannot import .*No module named"):
            Supervisor(Config(providers=providers, models=models), listeners).start()
    finally:
        for listener in listeners:
            listener.socket.close()


def test_a_data_process_keeps_freed_memory_unless_the_operator_says_otherwise() -> None:
    keeps = environment({"PATH": "/bin"})
    assert keeps["PATH"] == "/bin"
    assert int(keeps["MALLOC_TRIM_THRESHOLD_"]) >= 32 << 20
    said = environment({"MALLOC_TRIM_THRESHOLD_": "131072"})
    assert said["MALLOC_TRIM_THRESHOLD_"] == "131072"
