"""Every key a user may write, with its meaning, its bounds and its default.

One rule: the reference page, the JSON Schema and `fastroute check` are generated from these structs, and those of
`patience` and `quirks` that they hold, so a key exists when it is a field there and nowhere else. One surprise: a
`patience` or `timeouts` block in a file is completed from `routing` as the file is read; in Python code `None` takes
the whole block from `routing`.
"""

from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from fastroute.config.patience import Patience, Seconds, Timeouts
from fastroute.config.quirks import Quirks
from fastroute.endpoints import Counting, Endpoint
from fastroute.secret import Secret

Dialect = Literal[
    "openai_chat",
    "openai_responses",
    "openai_completions",
    "openai_embeddings",
    "anthropic_messages",
    "gemini",
    "gemini_embeddings",
    "bedrock_converse",
    "cohere_v2",
    "cohere_embeddings",
    "titan_embeddings",
    "ollama",
    "rerank",
    "jina_rerank",
    "voyage_rerank",
    "models",
]
Speakable = Literal[Dialect, Endpoint, Counting]
"""What a provider may have an address for."""
Shorthand = Literal["openai_chat", "openai_responses", "anthropic_messages", "gemini", "cohere_v2", "ollama"]
LogLevel = Literal["debug", "info", "warning", "error"]
AuthKind = Literal["bearer", "header", "query", "aws_sigv4", "google_service_account", "google_metadata", "azure_entra"]
OnClientGone = Literal["cancel", "drain", "finish"]
OnLoss = Literal["drop", "reject", "emulate"]

POLICIES = ("ordered", "weighted", "fastest")
"""The policies that come with fastroute; any other is written as `package.module:function`."""

MOCK = "mock"
"""The built-in provider that answers without a network; its one model is `echo`."""

SHORTHANDS: dict[Shorthand, dict[Speakable, str]] = {
    "openai_chat": {"openai_chat": "/chat/completions", "openai_embeddings": "/embeddings", "models": "/models"},
    "openai_responses": {"openai_responses": "/responses", "openai_embeddings": "/embeddings", "models": "/models"},
    "anthropic_messages": {
        "anthropic_messages": "/v1/messages",
        "anthropic_messages_tokens": "/v1/messages/count_tokens",
        "models": "/v1/models",
    },
    "gemini": {
        "gemini": "/v1beta/models/{model}:generateContent",
        "gemini_embeddings": "/v1beta/models/{model}:batchEmbedContents",
        "gemini_tokens": "/v1beta/models/{model}:countTokens",
        "models": "/v1beta/models",
    },
    "cohere_v2": {
        "cohere_v2": "/v2/chat",
        "cohere_embeddings": "/v2/embed",
        "rerank": "/v2/rerank",
        "models": "/v1/models",
    },
    "ollama": {"ollama": "/api/chat"},
}
"""What `dialect: …` in a provider stands for, below the address that the dialect's own SDK is given."""

# msgspec holds keys to the literal but leaves it out of the schema.
Speaks = Annotated[dict[Speakable, str], Meta(extra_json_schema={"propertyNames": {"enum": list(get_args(Speakable))}})]
Endpoints = Annotated[
    dict[Endpoint, str], Meta(extra_json_schema={"propertyNames": {"enum": list(get_args(Endpoint))}})
]
Share = Annotated[int, Meta(ge=0, le=1_000_000)]
Port = Annotated[int, Meta(ge=0, le=65_535)]
MemoryBytes = Annotated[int, Meta(ge=16 << 20, le=1 << 50)]


class Listen(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where clients connect."""

    address: Annotated[str, Meta(description="IP address or name the default door binds.", examples=["::1"])] = (
        "127.0.0.1"
    )
    port: Annotated[Port, Meta(description="Port of the default door; 0 takes any free one.")] = 4000
    edge: Annotated[bool, Meta(description="Open the edge door too (HTTP/1 and HTTP/2, less time added).")] = True
    edge_address: Annotated[
        str | None, Meta(description="IP address or name the edge door binds; null: the same as `address`.")
    ] = None
    edge_port: Annotated[Port, Meta(description="Port of the edge door; 0 takes any free one.")] = 4001
    admin: Annotated[bool, Meta(description="Open the admin listener (metrics).")] = True
    admin_address: Annotated[str, Meta(description="IP address or name of the admin listener.")] = "127.0.0.1"
    admin_port: Annotated[Port, Meta(description="Port of the admin listener; 0 takes any free one.")] = 4002
    open: Annotated[
        bool, Meta(description="Allow a listener that other machines can reach although no keys are asked for.")
    ] = False


class Auth(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How requests prove who sends them. Each kind has keys of its own; one that does nothing there is a mistake."""

    kind: Annotated[
        AuthKind,
        Meta(
            description="The provider's key as a bearer token, in a `header` or in the `query`; a signature by AWS "
            "keys (SigV4); or a token that is fetched and kept: for a Google service account, for the Google machine "
            "this is, or for an application in Microsoft Entra ID."
        ),
    ] = "bearer"
    name: Annotated[str | None, Meta(description="`header`, `query`: where the key goes.", examples=["x-api-key"])] = (
        None
    )
    region: Annotated[
        str | None,
        Meta(
            description="`aws_sigv4`: region that is signed for; null: the one in the address.", examples=["eu-west-1"]
        ),
    ] = None
    service: Annotated[str | None, Meta(description='`aws_sigv4`: service that is signed for; null: "bedrock".')] = None
    access_key_id: Annotated[
        Secret | None, Meta(description="`aws_sigv4`: who signs.", examples=["${AWS_ACCESS_KEY_ID}"])
    ] = None
    secret_access_key: Annotated[
        Secret | None, Meta(description="`aws_sigv4`: what signs.", examples=["${AWS_SECRET_ACCESS_KEY}"])
    ] = None
    session_token: Annotated[
        Secret | None,
        Meta(description="`aws_sigv4`: sent along with temporary keys.", examples=["${AWS_SESSION_TOKEN}"]),
    ] = None
    file: Annotated[
        str | None,
        Meta(description="`google_service_account`: its key file.", examples=["${GOOGLE_APPLICATION_CREDENTIALS}"]),
    ] = None
    json: Annotated[
        Secret | None, Meta(description="`google_service_account`: what the key file holds, in place of `file`.")
    ] = None
    tenant_id: Annotated[
        str | None, Meta(description="`azure_entra`: GUID or domain of the tenant.", examples=["${AZURE_TENANT_ID}"])
    ] = None
    client_id: Annotated[
        str | None, Meta(description="`azure_entra`: the application.", examples=["${AZURE_CLIENT_ID}"])
    ] = None
    client_secret: Annotated[
        Secret | None, Meta(description="`azure_entra`: its secret.", examples=["${AZURE_CLIENT_SECRET}"])
    ] = None
    scope: Annotated[
        str | None,
        Meta(
            description="What tokens are for; null: "
            "`https://www.googleapis.com/auth/cloud-platform` or `https://cognitiveservices.azure.com/.default`."
        ),
    ] = None
    token_address: Annotated[
        str | None,
        Meta(
            description="URL that tokens are fetched from; null: the key file's, Google's metadata server, or "
            "Microsoft's login for the tenant."
        ),
    ] = None


class Provider(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Somebody who can be called. A provider of the catalogue needs no key here but those it should change."""

    dialect: Annotated[
        Shorthand | None,
        Meta(
            description="The usual paths of a compatible server, below the address that the dialect's own SDK takes; "
            "`speaks` says the same in full."
        ),
    ] = None
    speaks: Annotated[
        Speaks | None,
        Meta(
            description="Path of each dialect the provider speaks, of each endpoint that is passed on to it unread, "
            "and of each that counts tokens (`…_tokens`), below its address; `{model}` is the model's name.",
            examples=[{"openai_chat": "/chat/completions"}, {"gemini": "/models/{model}:generateContent"}],
        ),
    ] = None
    address: Annotated[
        str | None, Meta(description="URL that the paths are below.", examples=["http://127.0.0.1:8080/v1"])
    ] = None
    region: Annotated[
        str | None,
        Meta(
            description="Which of the provider's regions is called; null: as the environment says, else the first.",
            examples=["eu-central-1"],
        ),
    ] = None
    vars: Annotated[
        dict[str, str],
        Meta(
            description="What else the address of a provider of the catalogue leaves open; what is not here is looked "
            "for in the environment.",
            examples=[{"resource": "my-resource"}],
        ),
    ] = {}
    key: Annotated[
        Secret | None,
        Meta(
            description="Key sent with each request; null: none, or for a provider of the catalogue whose address is "
            "not changed here the one found in the environment.",
            examples=["${OPENAI_API_KEY}"],
        ),
    ] = None
    keys: Annotated[
        tuple[Secret, ...],
        Meta(
            max_length=64,
            description="Several keys in place of one. A request that one of them is refused, limited or used up for "
            "goes on with the next.",
            examples=[["${OPENAI_KEY_A}", "${OPENAI_KEY_B}"]],
        ),
    ] = ()
    key_header: Annotated[
        str | None,
        Meta(
            description="Header that carries the key: `authorization` as a bearer token, any other as it is; null: the "
            "provider's own, else `authorization`.",
            examples=["x-api-key"],
        ),
    ] = None
    auth: Annotated[
        Auth | None, Meta(description="How requests prove who sends them, where that is not by `key` in `key_header`.")
    ] = None
    headers: Annotated[
        dict[str, Secret], Meta(description="Headers sent with each request.", examples=[{"x-title": "mine"}])
    ] = {}
    quirks: Annotated[
        Quirks | None, Meta(description="How it departs from the chat dialect, beside what the catalogue says of it.")
    ] = None
    timeouts: Annotated[Timeouts | None, Meta(description="Where it differs from `routing.timeouts`.")] = None
    min_idle: Annotated[int, Meta(ge=0, le=1_000, description="Connections kept open in advance.")] = 0
    ca_file: Annotated[
        str | None, Meta(description="PEM file of certificates to trust for this provider, beside the usual ones.")
    ] = None
    on_client_gone: Annotated[
        OnClientGone,
        Meta(
            description="What happens here when a client leaves: its request is cancelled, a reply that has begun is "
            "read to its end (`drain`), or one that has not begun is waited for, too (`finish`)."
        ),
    ] = "cancel"


class WeightedTarget(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A target with its share of the traffic."""

    to: Annotated[str, Meta(description="Provider and model.", examples=["openai/gpt-5"])]
    weight: Annotated[
        Share | None, Meta(description="Share of the traffic; with 0 a target only answers when the others failed.")
    ] = None


class Model(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A name clients ask for, and who answers."""

    targets: Annotated[
        tuple[str | WeightedTarget, ...],
        Meta(description="Who may answer: `provider/model`, or `{to: provider/model, weight: 95}`."),
    ]
    policy: Annotated[
        str | None,
        Meta(
            description='How targets are ordered: "ordered", "weighted", "fastest" or "package.module:function"; '
            "null: as in `routing`.",
            examples=["ordered", "weighted", "fastest", "mypackage.mine:rank"],
        ),
    ] = None
    patience: Annotated[Patience | None, Meta(description="Where it differs from `routing.patience`.")] = None
    on_loss: Annotated[OnLoss | None, Meta(description="As in `routing`, for this model; null: as there.")] = None


class Routing(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What holds for every model and provider that does not say otherwise."""

    policy: Annotated[str, Meta(description="How targets are ordered.", examples=["ordered"])] = "ordered"
    patience: Annotated[Patience, Meta(description="What one request may spend.")] = Patience()
    on_loss: Annotated[
        OnLoss,
        Meta(
            description="What becomes of what a target cannot be told: it is left out and named in "
            "`x-fastroute-dropped` (`drop`), asked for in words where words can do it (`emulate`), or another target "
            "is asked, and where none can be told it the request is refused (`reject`)."
        ),
    ] = "drop"
    timeouts: Annotated[Timeouts, Meta(description="Clocks of connections to providers.")] = Timeouts()
    endpoints: Annotated[
        Endpoints,
        Meta(
            description="Who is asked where a request that is passed on unread names no model, as none for files and "
            "batches does: a provider, `provider/model`, or a model of `models`. An endpoint that is not here asks the "
            "one provider that has it, if there is one only.",
            examples=[{"files": "openai", "batches": "openai"}],
        ),
    ] = {}


class Limits(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What clients may ask of this process before it says no."""

    max_body_bytes: Annotated[
        int, Meta(ge=1_024, le=1 << 30, description="Largest request body; a longer one is answered with 413.")
    ] = 32 << 20
    max_body_memory_bytes: Annotated[
        int, Meta(ge=1_024, le=1 << 40, description="Bodies held at once, all requests together.")
    ] = 512 << 20
    max_memory_bytes: Annotated[
        MemoryBytes | None,
        Meta(description="Memory of the process; near it requests are refused. Null: the limit of its control group."),
    ] = None
    max_in_flight: Annotated[int, Meta(ge=1, le=1_000_000, description="Requests being answered at once.")] = 12_000
    max_connections: Annotated[int, Meta(ge=1, le=1_000_000, description="Open client connections.")] = 16_384
    body_timeout_s: Annotated[Seconds, Meta(description="Receiving a whole request body.")] = 120.0
    client_stall_timeout_s: Annotated[Seconds, Meta(description="A client that takes no byte of its reply.")] = 30.0
    drain_timeout_s: Annotated[Seconds, Meta(description="At a stop, how long running requests may go on.")] = 120.0


class Observability(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the gateway says about itself."""

    log_level: Annotated[LogLevel, Meta(description="Least important lines that are still written.")] = "info"


class Journal(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What must survive a kill: every attempt is on record before it is sent, and how it ended after."""

    enabled: Annotated[bool, Meta(description="Keep a journal, in the instance's state folder.")] = True
    fsync: Annotated[
        bool,
        Meta(description="Sync what is written at once, for when the machine goes down; requests do not wait for it."),
    ] = False
    required: Annotated[
        bool,
        Meta(description="While the journal's disk is in trouble, answer 503 instead of keeping records in memory."),
    ] = False
    max_bytes: Annotated[
        int, Meta(ge=1 << 20, le=1 << 40, description="All segments together; the oldest are deleted.")
    ] = 256 << 20


class Config(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file. Every section may be left out."""

    listen: Annotated[Listen, Meta(description="Where clients connect.")] = Listen()
    providers: Annotated[dict[str, Provider], Meta(description="Who can be called, by a name of your choice.")] = {}
    models: Annotated[dict[str, Model], Meta(description="Names clients ask for, and who answers.")] = {}
    routing: Annotated[Routing, Meta(description="Defaults of models and providers.")] = Routing()
    limits: Annotated[Limits, Meta(description="What clients may ask of this process.")] = Limits()
    journal: Annotated[Journal, Meta(description="What must survive a kill.")] = Journal()
    observability: Annotated[Observability, Meta(description="What the gateway says about itself.")] = Observability()


def decode(tree: object) -> Config:
    """A Config from plain dicts and lists. Raises msgspec.ValidationError, whose text may repeat a value."""
    return msgspec.convert(tree, Config, dec_hook=_hide)


def pack(config: Config) -> bytes:
    """The configuration with its keys in clear, for an inherited pipe between our own processes and nothing else."""
    return msgspec.msgpack.encode(config, enc_hook=_reveal)


def unpack(blob: bytes) -> Config:
    """What `pack` packed."""
    return msgspec.msgpack.decode(blob, type=Config, dec_hook=_hide)


def _hide(kind: type, value: Any) -> Secret:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise TypeError(f"Expected `str`, got `{type(value).__name__}`")


def _reveal(value: Any) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    raise TypeError(f"no way to pack a {type(value).__name__}")
