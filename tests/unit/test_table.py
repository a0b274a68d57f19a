"""The table: who answers to which name, at which address, with which key."""

import json
from random import Random
from typing import Any

import msgspec
import pytest

from fastroute.address import Address
from fastroute.catalogue import find_providers
from fastroute.config.quirks import Quirks
from fastroute.config.schema import Config, Model, Patience, Provider, Routing, Timeouts, WeightedTarget
from fastroute.errors import ConfigError
from fastroute.facts import Facts, Plan
from fastroute.gateway import Gateway
from fastroute.policies import REGISTRY
from fastroute.secret import Secret
from fastroute.table import Table, Target, as_wire, compile_table

NOTHING = find_providers({})
KEYS = find_providers({"OPENAI_API_KEY": "sk-openai", "GROQ_API_KEY": "sk-groq"})


def local(**settings: Any) -> Provider:
    return Provider(**{"dialect": "openai_chat", "address": "http://127.0.0.1:8080/v1", **settings})


def table_of(providers: dict[str, Provider], models: dict[str, Model] | None = None, **settings: Any) -> Table:
    return compile_table(Config(providers=providers, models=models or {}, **settings), NOTHING, 1)


def planned(table: Table, name: str) -> list[Target]:
    """Who is called for `name`, first to last; nobody where it is refused."""
    gateway = Gateway(table, REGISTRY, lambda: 0.0, Random(1))
    plan = gateway.decide(Facts(name, "openai_chat", "edge", False, 100, 20, 1, 0, 0, None))
    return [table.targets[index] for index in plan.targets] if isinstance(plan, Plan) else []


def targets_of(table: Table, name: str) -> list[str]:
    """The same as names; `*` is whatever the client asked for."""
    return [f"{target.provider.name}/{target.model or '*'}" for target in planned(table, name)]


def sent_by(table: Table, provider: str) -> list[list[list[str]]]:
    """The headers that the engine sends to a provider, for each of its targets."""
    wire = as_wire(table)
    at = list(table.providers).index(provider)
    row = wire["providers"][at]
    targets = [target for target in wire["targets"] if target["provider"] == at]
    return [row["headers"] + ([] if each["key"] is None else [row["keys"][each["key"]]]) for each in targets]


def test_a_model_becomes_a_route_with_its_targets_in_order() -> None:
    table = table_of({"here": local(), "there": local()}, {"smart": Model(targets=("there/b", "here/a"))})
    assert targets_of(table, "smart") == ["there/b", "here/a"]
    route = table.routes["smart"]
    assert (route.policy, route.patience) == ("ordered", Patience())
    assert [choice.weight for choice in route.choices] == [1, 1]


def test_targets_are_shared_between_routes_and_know_their_place() -> None:
    models = {"one": Model(targets=("here/a", "here/b")), "two": Model(targets=("here/b",))}
    table = table_of({"here": local()}, models)
    assert [target.index for target in table.targets] == list(range(len(table.targets)))
    assert table.routes["two"].choices[0].target is table.routes["one"].choices[1].target


def test_an_address_is_split_once() -> None:
    table = table_of({"a": local(address="https://Example.COM/openai/v1/"), "b": local(address="http://[::1]:8080")})
    assert table.providers["a"].address == Address("https", "example.com", 443, "/openai/v1")
    assert table.providers["b"].address == Address("http", "::1", 8080, "")


def test_a_key_goes_into_its_header() -> None:
    table = table_of(
        {
            "bearer": local(key=Secret("sk-1")),
            "azure": local(key=Secret("sk-2"), key_header="Api-Key", headers={"X-Title": Secret("mine")}),
            "none": local(),
        }
    )
    assert sent_by(table, "bearer") == [[["authorization", "Bearer sk-1"]]]
    assert sent_by(table, "azure") == [[["x-title", "mine"], ["api-key", "sk-2"]]]
    assert sent_by(table, "none") == [[]]


def test_a_provider_with_several_keys_has_each_target_once_per_key_in_their_order() -> None:
    table = table_of(
        {"many": local(keys=(Secret("sk-1"), Secret("sk-2"))), "one": local()},
        {"m": Model(targets=("many/x", "one/y"))},
    )
    assert targets_of(table, "m") == ["many/x", "many/x", "one/y"]
    assert [target.key and target.key.name for target in planned(table, "m")] == ["keys[0]", "keys[1]", None]
    assert targets_of(table, "many/anything") == ["many/*", "many/*"]
    assert sent_by(table, "many") == [[["authorization", f"Bearer sk-{number}"]] for number in (1, 2, 1, 2)]


def test_the_keys_of_a_target_share_its_weight() -> None:
    two, three = (tuple(Secret(f"sk-{number}") for number in range(count)) for count in (2, 3))
    targets = (WeightedTarget(to="two/x", weight=8), WeightedTarget(to="three/x", weight=6))
    table = table_of(
        {"two": local(keys=two), "three": local(keys=three)}, {"m": Model(targets=targets, policy="weighted")}
    )
    assert [choice.weight for choice in table.routes["m"].choices] == [2, 2, 1, 1, 1]


def test_a_key_that_was_found_is_known_by_its_variable() -> None:
    (target,) = planned(compile_table(Config(), KEYS, 1), "groq/x")
    assert target.key is not None
    assert target.key.name == "GROQ_API_KEY"


def test_no_key_is_in_the_text_of_a_table() -> None:
    table = table_of(
        {
            "a": local(key=Secret("hunter2"), headers={"x": Secret("hunter2")}),
            "b": local(keys=(Secret("hunter2"), Secret("hunter2-too"))),
        },
        {"m": Model(targets=("a/x", "b/y"))},
    )
    assert "hunter2" not in repr(table) + str(table) + repr(table.targets)


def test_weights_policy_and_patience_come_from_the_model_then_from_routing() -> None:
    routing = Routing(policy="fastest", patience=Patience(attempts=5), timeouts=Timeouts(dns_timeout_s=1))
    models = {
        "split": Model(
            targets=(WeightedTarget(to="a/x", weight=95), WeightedTarget(to="a/y", weight=5)),
            policy="weighted",
            patience=Patience(attempts=1),
        ),
        "plain": Model(targets=("a/x",)),
    }
    table = table_of({"a": local()}, models, routing=routing)
    split, plain = table.routes["split"], table.routes["plain"]
    assert [choice.weight for choice in split.choices] == [95, 5]
    assert (split.policy, split.patience.attempts) == ("weighted", 1)
    assert (plain.policy, plain.patience.attempts) == ("fastest", 5)
    assert table.providers["a"].timeouts == Timeouts(dns_timeout_s=1)


def test_a_name_is_a_route_first_and_a_provider_second() -> None:
    table = table_of({"here": local()}, {"here/tiny": Model(targets=("here/other",))})
    assert targets_of(table, "here/tiny") == ["here/other"]
    assert targets_of(table, "here/anything") == ["here/*"]
    assert targets_of(table, "here/accounts/x/models/y") == ["here/*"]


@pytest.mark.parametrize("name", ["", "/", "here", "here/", "/here", "nobody/x", "mock/echo", "mock/other"])
def test_other_names_lead_nowhere(name: str) -> None:
    assert targets_of(table_of({"here": local()}), name) == []


def test_a_name_that_passes_through_uses_the_providers_own_place_in_the_table() -> None:
    table = table_of({"here": local(), "there": local()})
    (target,) = planned(table, "there/x")
    assert (target,) == table.direct["there"]
    assert (target.provider, target.model) == (table.providers["there"], None)


def test_without_a_configuration_everything_found_and_the_echo_can_be_called() -> None:
    table = compile_table(Config(), KEYS, 1)
    assert list(table.providers) == ["openai", "groq", "mock"]
    assert targets_of(table, "openai/gpt-5") == ["openai/*"]
    assert targets_of(table, "mock/echo") == ["mock/echo"]
    assert targets_of(table, "mock/other") == []
    assert sent_by(table, "groq") == [[["authorization", "Bearer sk-groq"]]]


def test_with_a_configuration_only_what_it_names_can_be_called() -> None:
    table = compile_table(Config(models={"fast": Model(targets=("groq/x",))}), KEYS, 1)
    assert list(table.providers) == ["groq"]
    assert targets_of(table, "openai/gpt-5") == []
    assert targets_of(table, "groq/y") == ["groq/*"]


def test_the_echo_exists_when_a_configuration_names_it() -> None:
    table = table_of({}, {"test": Model(targets=("mock/echo",))})
    assert targets_of(table, "mock/echo") == targets_of(table, "test") == ["mock/echo"]


def test_a_provider_of_the_catalogue_can_be_changed_in_part() -> None:
    table = compile_table(Config(providers={"openai": Provider(min_idle=4)}), KEYS, 1)
    openai = table.providers["openai"]
    assert (openai.address.host, openai.min_idle) == ("api.openai.com", 4)
    assert sent_by(table, "openai") == [[["authorization", "Bearer sk-openai"]]]


def test_a_key_that_was_found_does_not_go_to_another_address() -> None:
    table = compile_table(Config(providers={"openai": Provider(address="http://elsewhere.example/v1")}), KEYS, 1)
    assert sent_by(table, "openai") == [[]]
    assert table.providers["openai"].speaks["openai_chat"] == "/chat/completions"


def test_a_local_server_is_one_line_and_needs_no_key() -> None:
    table = table_of({"ollama": Provider(), "vllm": Provider(address="http://gpu.example:8000")})
    assert table.providers["ollama"].address == Address("http", "127.0.0.1", 11434, "")
    assert table.providers["vllm"].address.host == "gpu.example"
    assert table.providers["vllm"].speaks["anthropic_messages"] == "/v1/messages"
    assert sent_by(table, "ollama") == [[]]


def test_a_local_server_is_not_called_unless_it_is_named() -> None:
    assert "ollama" not in compile_table(Config(), KEYS, 1).providers


def test_an_address_is_filled_from_the_configuration_then_from_the_environment() -> None:
    found = find_providers({"AWS_BEARER_TOKEN_BEDROCK": "t", "AWS_REGION": "us-east-1", "MOONSHOT_API_KEY": "k"})
    hosts = {
        name: compile_table(Config(providers={name: provider}), found, 1).providers[name].address.host
        for name, provider in (
            ("bedrock", Provider()),
            ("bedrock_openai", Provider(region="eu-west-1")),
            ("moonshot", Provider(region="china")),
            ("azure", Provider(key=Secret("k"), vars={"resource": "mine"})),
        )
    }
    assert hosts == {
        "bedrock": "bedrock-runtime.us-east-1.amazonaws.com",
        "bedrock_openai": "bedrock-mantle.eu-west-1.api.aws",
        "moonshot": "api.moonshot.cn",
        "azure": "mine.openai.azure.com",
    }


def test_what_an_address_leaves_open_is_asked_for_before_anybody_is_called() -> None:
    with pytest.raises(ConfigError, match="its address has no region"):
        compile_table(Config(models={"a": Model(targets=("bedrock/x",))}), NOTHING, 1)


def test_a_provider_of_the_catalogue_is_sent_its_own_headers_and_its_key_in_its_own() -> None:
    found = find_providers({"ANTHROPIC_API_KEY": "sk-ant"})
    version = ["anthropic-version", "2023-06-01"]
    assert sent_by(compile_table(Config(), found, 1), "anthropic") == [[version, ["x-api-key", "sk-ant"]]]
    named = Provider(key=Secret("k"), headers={"Anthropic-Version": Secret("2030-01-01"), "x-team": Secret("t")})
    assert sent_by(table_of({"anthropic": named}), "anthropic") == [
        [["anthropic-version", "2030-01-01"], ["x-team", "t"], ["x-api-key", "k"]]
    ]
    elsewhere = Provider(key=Secret("k"), key_header="authorization")
    assert sent_by(table_of({"anthropic": elsewhere}), "anthropic") == [[version, ["authorization", "Bearer k"]]]


def test_what_is_known_of_a_model_goes_with_its_target() -> None:
    found = find_providers({"OPENAI_API_KEY": "k"})
    models = {"m": Model(targets=("openai/gpt-5", "openai/nobody-knows"))}
    wire = json.loads(json.dumps(as_wire(compile_table(Config(models=models), found, 1))))
    told = {target["model"]: target["capabilities"] for target in wire["targets"]}
    assert told["gpt-5"]["max_tokens_field"] == "max_completion_tokens"
    assert told["nobody-knows"] == told[None] == {}


def test_quirks_of_a_configuration_stand_above_those_of_the_catalogue() -> None:
    openai = msgspec.structs.replace(KEYS.rows["openai"], quirks={"drop": ["seed"], "one_choice": True})
    found = KEYS._replace(rows={**KEYS.rows, "openai": openai})
    table = compile_table(Config(providers={"openai": Provider(quirks=Quirks(drop=["user"]))}), found, 1)
    assert as_wire(table)["providers"][0]["quirks"] == {"drop": ["user"], "one_choice": True}


def test_a_reference_to_nothing_is_refused_in_the_words_of_check() -> None:
    config = Config(providers={"there": local()}, models={"smart": Model(targets=("there/a", "thre/b"))})
    with pytest.raises(ConfigError) as caught:
        compile_table(config, NOTHING, 1)
    assert str(caught.value) == 'models.smart.targets[1]: no provider "thre"; did you mean "there"?'


def test_a_shorthand_is_below_the_address_that_the_sdk_takes() -> None:
    def speaks(dialect: Any, address: str) -> dict[str, str]:
        provider = table_of({"p": local(dialect=dialect, address=address)}).providers["p"]
        return {name: provider.address.prefix + path for name, path in provider.speaks.items()}

    for address in ("https://gemini.example", "https://gemini.example/v1beta/", "https://gemini.example/v1beta"):
        assert speaks("gemini", address) == {
            "gemini": "/v1beta/models/{model}:generateContent",
            "gemini_embeddings": "/v1beta/models/{model}:batchEmbedContents",
            "gemini_tokens": "/v1beta/models/{model}:countTokens",
            "models": "/v1beta/models",
        }
    for path in ("/v1", "/v1alpha", "/v1beta1/publishers/google"):
        assert speaks("gemini", f"https://gemini.example{path}")["models"] == f"{path}/models"
    assert speaks("gemini", "https://proxy.example/google")["models"] == "/google/v1beta/models"
    asked = speaks("anthropic_messages", "https://claude.example")
    assert asked["anthropic_messages_tokens"] == "/v1/messages/count_tokens"


def test_a_provider_whose_key_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match='provider "groq" has no key; set GROQ_API_KEY'):
        compile_table(Config(models={"fast": Model(targets=("groq/x",))}), NOTHING, 1)


def test_what_names_no_model_is_asked_where_the_configuration_says_or_of_whoever_alone_has_it() -> None:
    def has(*endpoints: str) -> Provider:
        return local(dialect=None, speaks=dict.fromkeys(endpoints, "/x"))

    providers = {"a": has("files", "batches"), "b": has("files", "audio_speech")}
    models = {"smart": Model(targets=("a/x",))}
    wanted = {"files": "b", "images_edits": "smart", "moderations": "ollama/guard"}
    config = Config(providers=providers, models=models, routing=Routing(endpoints=wanted))  # type: ignore[arg-type]
    table = compile_table(config, NOTHING, 1)
    assert as_wire(table)["endpoints"] == {
        "files": "b/*",
        "batches": "a/*",
        "audio_speech": "b/*",
        "images_edits": "smart",
        "moderations": "ollama/guard",
    }
    assert targets_of(table, "ollama/guard") == ["ollama/*"], "it is named, if only there"
    without = compile_table(Config(providers=providers), NOTHING, 1)
    assert "files" not in without.endpoints, "two have it, and nobody chose"


def test_the_wire_form_is_plain_and_refers_by_number() -> None:
    models = {"smart": Model(targets=(WeightedTarget(to="b/x", weight=3),), policy="weighted")}
    table = table_of({"a": local(), "b": local(key=Secret("sk-1"), min_idle=2)}, models)
    wire = json.loads(json.dumps(as_wire(table)))
    assert wire["generation"] == 1
    (route,) = wire["routes"]
    (choice,) = route["choices"]
    target = wire["targets"][choice["target"]]
    provider = wire["providers"][target["provider"]]
    assert (target["model"], choice["weight"], provider["name"], provider["min_idle"]) == ("x", 3, "b", 2)
    assert provider["keys"][target["key"]] == ["authorization", "Bearer sk-1"]
    assert (provider["scheme"], provider["host"], provider["port"], provider["prefix"]) == (
        "http",
        "127.0.0.1",
        8080,
        "/v1",
    )
    assert route["patience"]["attempts"] == 3
    assert len(wire["targets"]) == len(table.targets)


@pytest.mark.parametrize(
    "name, address, model, known",
    [
        ("openai", "http://127.0.0.1:1/v1", "gpt-5", True),
        ("work", "https://api.openai.com/v1", "gpt-5-2025-08-07", True),
        ("work", "https://api.openai.com/v1", "gpt-of-my-own", False),
        ("work", "http://127.0.0.1:11434/v1", "gpt-5", False),
    ],
)
def test_a_model_is_known_by_its_providers_name_or_address(name: str, address: str, model: str, known: bool) -> None:
    table = table_of({name: local(address=address)}, {"smart": Model(targets=(f"{name}/{model}",))})
    (target,) = planned(table, "smart")
    assert bool(target.capabilities) is known
    told = as_wire(table)["providers"][0]["known"]
    assert ("gpt-5" in told["names"]) is (address.startswith("https") or name == "openai")
    if known:
        assert told["models"][told["names"]["gpt-5"]] == target.capabilities
