"""What a good configuration file means once it is read: YAML and TOML, references, defaults that flow down."""

from pathlib import Path

import pytest

from fastroute.config import Config, load, pack, unpack
from fastroute.config.schema import Model, Patience, Provider, Routing, Timeouts, WeightedTarget
from fastroute.errors import ConfigError
from fastroute.secret import Secret

MINIMAL = """\
providers:
  here:  {dialect: openai_chat, address: "http://127.0.0.1:8080/v1"}
  there: {dialect: openai_chat, address: "http://127.0.0.1:8081/v1"}
models:
  smart: {targets: [here/tiny, there/tiny], policy: ordered}
"""


def load_text(text: str, folder: Path, name: str = "fastroute.yaml", **environ: str) -> Config:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return load(file, environ=environ)


def test_five_lines_are_enough(tmp_path: Path) -> None:
    config = load_text(MINIMAL, tmp_path)
    assert config.models["smart"] == Model(targets=("here/tiny", "there/tiny"), policy="ordered")
    assert config.providers["here"].address == "http://127.0.0.1:8080/v1"
    assert (config.listen.port, config.listen.edge_port, config.listen.open) == (4000, 4001, False)


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "~\n", "{}"])
def test_an_empty_file_is_a_configuration_of_defaults(text: str, tmp_path: Path) -> None:
    assert load_text(text, tmp_path) == Config()


def test_toml_says_the_same_as_yaml(tmp_path: Path) -> None:
    yaml = """\
listen: {port: 4100}
providers:
  here: {address: "http://h/v1", speaks: {openai_chat: /chat}, key: "${KEY}", timeouts: {connect_timeout_s: 1.5}}
models:
  gpt-4.1: {targets: [{to: here/a, weight: 95}, {to: here/b, weight: 5}], policy: weighted}
"""
    toml = """\
[listen]
port = 4100
[providers.here]
address = "http://h/v1"
speaks.openai_chat = "/chat"
key = "${KEY}"
timeouts = { connect_timeout_s = 1.5 }
[models."gpt-4.1"]
targets = [{ to = "here/a", weight = 95 }, { to = "here/b", weight = 5 }]
policy = "weighted"
"""
    assert load_text(yaml, tmp_path, KEY="sk-1") == load_text(toml, tmp_path, "fastroute.toml", KEY="sk-1")


def test_json_is_yaml(tmp_path: Path) -> None:
    assert load_text('{"listen": {"port": 4100, "open": true}}', tmp_path, "c.json").listen.port == 4100


def test_toml_mistakes_have_places(tmp_path: Path) -> None:
    text = '[listen]\nport = 4000\nprot = 1\n[providers.here]\ndialect = "openai_chat"\naddress = "ftp://h"\n'
    with pytest.raises(ConfigError) as caught:
        load_text(text, tmp_path, "fastroute.toml")
    assert [str(mistake).split("fastroute.toml:")[1] for mistake in caught.value.mistakes] == [
        '3:1: listen.prot: unknown key; did you mean "port"?',
        '6:11: providers.here.address: an address starts with "http://" or "https://"',
    ]


@pytest.mark.parametrize(
    "text, place",
    [("listen = [", "1:11"), ("a = 1\na = 2\n", "2:6"), ("[listen]\nport = \n", "2:8")],
)
def test_broken_toml_has_a_place(text: str, place: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(text, tmp_path, "fastroute.toml")
    (mistake,) = caught.value.mistakes
    assert f"{mistake.line}:{mistake.column}" == place
    assert mistake.message.startswith("not TOML: ")


@pytest.mark.parametrize("text", ["a." * 5_000 + "a = 1", f"[{'a.' * 5_000}a]", "a = " + "[" * 100_000])
def test_deep_toml_is_a_mistake_and_no_crash(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nested too deeply"):
        load_text(text, tmp_path, "fastroute.toml")


def test_a_file_longer_than_any_configuration_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="longer than 4 MiB"):
        load_text("#" * (4 << 20) + "\n", tmp_path)


def test_words_that_yaml_1_1_took_for_truth_values_are_names(tmp_path: Path) -> None:
    text = """\
providers:
  no: {dialect: openai_chat, address: "http://h"}
models:
  on: {targets: [no/yes, no/off]}
  12:30: {targets: [no/1e3]}
  4: {targets: [no/0x10]}
"""
    config = load_text(text, tmp_path)
    assert list(config.models) == ["on", "12:30", "4"]
    assert config.models["on"].targets == ("no/yes", "no/off")


def test_anchors_and_merge_keys_work_and_own_keys_win(tmp_path: Path) -> None:
    text = """\
providers:
  a: &a {dialect: openai_chat, address: "http://h", min_idle: 3}
  b: {<<: *a, address: "http://i"}
  c: {<<: [{min_idle: 1}, *a]}
"""
    providers = load_text(text, tmp_path).providers
    assert providers["b"] == Provider(dialect="openai_chat", address="http://i", min_idle=3)
    assert providers["c"] == Provider(dialect="openai_chat", address="http://h", min_idle=1)


def test_references_are_filled_from_variables_defaults_and_files(tmp_path: Path) -> None:
    (tmp_path / "key.txt").write_text("sk-from-file\n")
    text = """\
providers:
  a: {dialect: openai_chat, address: "http://${HOST}:${PORT:-8080}/v1", key: "${file:key.txt}"}
  b: {dialect: openai_chat, address: "http://h", key: "pa$$word${EMPTY:-}"}
"""
    config = load_text(text, tmp_path, HOST="upstream.internal", EMPTY="")
    assert config.providers["a"].address == "http://upstream.internal:8080/v1"
    assert config.providers["a"].key == Secret("sk-from-file")
    assert config.providers["b"].key == Secret("pa$word")


def test_a_reference_becomes_a_number_only_where_one_is_wanted(tmp_path: Path) -> None:
    text = """\
listen: {port: "${PORT}", open: "${OPEN}"}
routing: {timeouts: {dns_timeout_s: "${SECONDS}"}}
providers: {a: {dialect: openai_chat, address: "http://h", key: "${DIGITS}", min_idle: "${IDLE:-2}"}}
"""
    config = load_text(text, tmp_path, PORT="4321", OPEN="true", SECONDS="1.5", DIGITS="123456")
    assert (config.listen.port, config.listen.open) == (4321, True)
    assert config.routing.timeouts.dns_timeout_s == 1.5
    assert (config.providers["a"].key, config.providers["a"].min_idle) == (Secret("123456"), 2)


def test_quotes_do_not_make_a_number_out_of_plain_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a whole number, got text"):
        load_text('listen: {port: "4000"}', tmp_path)


def test_a_variable_that_is_no_utf8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"what \$\{ODD\} stands for is not UTF-8"):
        load_text('listen: {address: "${ODD}"}', tmp_path, ODD="\udcff")


def test_partial_blocks_are_completed_from_routing(tmp_path: Path) -> None:
    text = """\
routing:
  patience: {attempts: 5, ttft_timeout_s: 60}
  timeouts: {connect_timeout_s: 1}
providers:
  a: {dialect: openai_chat, address: "http://h", timeouts: {tls_timeout_s: 2}}
  b: {dialect: openai_chat, address: "http://h"}
models:
  one: {targets: [a/x], patience: {attempts: 1}}
  two: {targets: [a/x], patience: {}}
  three: {targets: [a/x]}
"""
    config = load_text(text, tmp_path)
    assert config.models["one"].patience == Patience(attempts=1, ttft_timeout_s=60)
    assert config.models["two"].patience == Patience(attempts=5, ttft_timeout_s=60)
    assert config.models["three"].patience is None
    assert config.providers["a"].timeouts == Timeouts(connect_timeout_s=1, tls_timeout_s=2)
    assert config.providers["b"].timeouts is None
    assert config.routing.patience == Patience(attempts=5, ttft_timeout_s=60)


def test_certificates_are_looked_for_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("")
    text = 'providers: {a: {dialect: openai_chat, address: "https://h", ca_file: ca.pem}}'
    assert load_text(text, tmp_path).providers["a"].ca_file == str(tmp_path / "ca.pem")


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_bytes(b"\xef\xbb\xbflisten: {port: 4100}\n")
    assert load(file).listen.port == 4100


def test_a_configuration_travels_whole_between_processes(tmp_path: Path) -> None:
    config = Config(
        routing=Routing(policy="mine.own:rank"),
        providers={
            "a": Provider(dialect="openai_chat", address="http://h", key=Secret("sk-1"), headers={"x": Secret("y")})
        },
        models={"m": Model(targets=("a/x", WeightedTarget(to="a/y", weight=3)))},
    )
    assert unpack(pack(config)) == config


def test_a_key_is_not_in_the_text_of_a_configuration() -> None:
    provider = Provider(key=Secret("sk-abcdef"), headers={"x-key": Secret("sk-abcdef")})
    for text in (repr(provider), str(provider), f"{provider.key}", repr(Config(providers={"a": provider}))):
        assert "sk-abcdef" not in text
