"""Proving who asks, end to end: what the gateway sends is judged by the libraries of those it is sent to.

One rule: botocore signs every request again as it arrived and must come to the same signature; google-auth verifies
what a token is asked for with.
"""

import contextlib
import itertools
import json
import random
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, quote

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import jwt
from hypothesis import given, settings
from hypothesis import strategies as st

from flow.rig import Gateway, Reply, eventually, free_port, serving

ANSWER = {
    "id": "x",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
SIGNERS = 60


class Asked(NamedTuple):
    """A request as it arrived."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name), "")


Answer = Callable[[Asked], tuple[int, Any]]


class Server:
    """A loopback server that remembers what it was asked."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                asked = Asked(self.command, self.path, self.headers.items(), body)
                outer.asked.append(asked)
                status, content = outer.answer(asked)
                reply = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            do_GET = do_POST = _serve  # noqa: N815 - names of the standard library

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as its base calls it
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.origin = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Signer(NamedTuple):
    """AWS keys, and where requests signed by them go."""

    keys: Credentials
    region: str
    service: str
    provider: dict[str, Any]


def _signers(origin: str) -> dict[str, Signer]:
    """Providers that differ in all that a signature covers."""
    dice = random.Random(4711)
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/="
    steps = [
        "model",
        "a.b-c_d~e",
        "%3A",
        "us.x%3A0",
        "arn%3Aaws%3A1%2Fp",
        "x:y",
        "$&'()*+,;=@",
        "%E2%82%AC",
        "a//b",
        ".",
    ]
    found: dict[str, Signer] = {}
    for number in range(SIGNERS):
        secret, token = ("".join(dice.choices(letters, k=size)) for size in (40, 300))
        keys = Credentials(f"AKIDEXAMPLE{number:09}", secret, token if number % 2 else None)
        region, service = dice.choice(["us-east-1", "eu-central-1", "us-gov-west-1"]), dice.choice([None, "sagemaker"])
        path = "/" + "/".join(dice.choices(steps, k=dice.randint(1, 4))) + dice.choice(["", "/"])
        auth = {
            "kind": "aws_sigv4",
            "region": region,
            "service": service,
            "access_key_id": keys.access_key,
            "secret_access_key": keys.secret_key,
            "session_token": keys.token,
        }
        headers = {"x-amz-trace": dice.choice(["a", "a   b", "a, b"]), "x-more": "1"} if number % 3 else {}
        provider = {"address": origin, "speaks": {"openai_chat": path}, "auth": auth, "headers": headers}
        found[f"aws-{number}"] = Signer(keys, region, service or "bedrock", provider)
    return found


class Account(NamedTuple):
    """A Google service account, and the key file of it."""

    public_key: bytes
    file: Path


def _account(folder: Path, origin: str) -> Account:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    content = {
        "type": "service_account",
        "client_email": "me@project.iam.example",
        "private_key": pem,
        "private_key_id": "key-1",
        "token_uri": f"{origin}/google/token",
    }
    file = folder / "account.json"
    file.write_text(json.dumps(content))
    return Account(public, file)


class Scene(NamedTuple):
    upstream: Server
    tokens: Server
    gateway: Gateway
    signers: dict[str, Signer]
    account: Account

    def ask(self, provider: str, content: str = "hello") -> tuple[Reply, Asked]:
        """A reply, and what the provider was asked for it."""
        before = len(self.upstream.asked)
        reply = self.gateway.doors["edge"].ask(f"{provider}/m", messages=[{"role": "user", "content": content}])
        return reply, self.upstream.asked[before]


def _tokens() -> Answer:
    numbers = itertools.count()

    def answer(asked: Asked) -> tuple[int, Any]:
        if "refused" in asked.path:
            return 401, {"error": "invalid_client", "error_description": f"wrong: {asked.body.decode()}"}
        return 200, {"access_token": f"token-{next(numbers)}-of{asked.path}", "expires_in": 3600}

    return answer


def _content(asked: Asked) -> tuple[int, Any]:
    if b"please quote" in asked.body:
        return 400, {"error": {"message": f"odd: {asked.headers} {asked.path}", "type": "invalid_request_error"}}
    return 200, ANSWER


def _configuration(upstream: str, tokens: str, signers: Mapping[str, Signer], file: Path) -> dict[str, Any]:
    def provider(auth: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {"address": upstream, "speaks": {"openai_chat": "/chat"}, "auth": auth, **more}

    entra = {"kind": "azure_entra", "tenant_id": "tenant", "client_id": "app", "client_secret": "s&cret=of the app"}
    return {
        "listen": {"port": 0, "edge_port": 0, "admin_port": free_port()},
        "providers": {
            **{name: signer.provider for name, signer in signers.items()},
            "bearer": provider({"kind": "bearer"}, key="sk-of-the-bearer"),
            "header": provider({"kind": "header", "name": "Api-Key"}, key="sk-of-the-header"),
            "query": provider({"kind": "query", "name": "key"}, key="sk+of/the=query"),
            "google": provider({"kind": "google_service_account", "file": file.name}),
            "machine": provider({"kind": "google_metadata", "token_address": f"{tokens}/metadata/token"}),
            "azure": provider({**entra, "token_address": f"{tokens}/azure/token"}),
            "refused": provider({**entra, "token_address": f"{tokens}/refused/token"}),
        },
    }


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("credentials")
    upstream, tokens = Server(_content), Server(_tokens())
    signers, account = _signers(upstream.origin), _account(folder, tokens.origin)
    config = _configuration(upstream.origin, tokens.origin, signers, account.file)
    with contextlib.closing(upstream), contextlib.closing(tokens), serving(config, folder) as gateway:
        yield Scene(upstream, tokens, gateway, signers, account)


def _signed_again(asked: Asked, signer: Signer) -> str:
    """The `authorization` that botocore gives this request."""
    covered = re.search(r"SignedHeaders=([^,]+)", asked.header("authorization"))
    assert covered
    names = covered[1].split(";")
    request = AWSRequest(method=asked.method, url=f"http://{asked.header('host')}{asked.path}", data=asked.body)
    for name, value in asked.headers:
        if name.lower() in names:
            request.headers[name] = value
    request.context["timestamp"] = asked.header("x-amz-date")
    oracle = SigV4Auth(signer.keys, signer.service, signer.region)
    text = oracle.string_to_sign(request, oracle.canonical_request(request))
    signature = oracle.signature(text, request)
    return f"AWS4-HMAC-SHA256 Credential={oracle.scope(request)}, SignedHeaders={covered[1]}, Signature={signature}"


@given(st.integers(0, SIGNERS - 1), st.text(max_size=200))
@settings(max_examples=400, deadline=None)
def test_botocore_signs_what_arrived_in_the_same_way(scene: Scene, number: int, content: str) -> None:
    name = f"aws-{number}"
    signer = scene.signers[name]
    reply, asked = scene.ask(name, content.replace("please quote", ""))
    assert reply.status == 200
    assert asked.path == signer.provider["speaks"]["openai_chat"]
    assert json.loads(asked.body)["model"] == "m"
    assert asked.header("authorization") == _signed_again(asked, signer)
    assert asked.header("x-amz-security-token") == (signer.keys.token or "")
    covered = {"host", "content-type", "x-amz-date"}
    covered |= {name.lower() for name, _ in asked.headers if name.lower().startswith("x-amz-")}
    assert f"SignedHeaders={';'.join(sorted(covered))}," in asked.header("authorization")


def test_a_long_body_is_signed_whole(scene: Scene) -> None:
    reply, asked = scene.ask("aws-1", "long " * 300_000)
    assert reply.status == 200
    assert asked.header("authorization") == _signed_again(asked, scene.signers["aws-1"])


def test_a_key_goes_where_its_kind_says(scene: Scene) -> None:
    bearer, header, query = (scene.ask(name)[1] for name in ("bearer", "header", "query"))
    assert (bearer.path, bearer.header("authorization")) == ("/chat", "Bearer sk-of-the-bearer")
    assert (header.header("api-key"), header.header("authorization")) == ("sk-of-the-header", "")
    assert (query.path, query.header("authorization")) == (f"/chat?key={quote('sk+of/the=query', safe='')}", "")


def test_google_auth_verifies_what_a_token_is_asked_for_with(scene: Scene) -> None:
    (_, first), (_, second) = scene.ask("google"), scene.ask("google")
    (fetch,) = [asked for asked in scene.tokens.asked if asked.path == "/google/token"]
    assert fetch.header("content-type") == "application/x-www-form-urlencoded"
    form = {name: value for name, (value,) in parse_qs(fetch.body.decode(), strict_parsing=True).items()}
    assert form.pop("grant_type") == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assertion = form.pop("assertion")
    assert form == {}
    address = f"{scene.tokens.origin}/google/token"
    claims = jwt.decode(assertion, certs=scene.account.public_key, audience=address)
    assert (claims["iss"], claims["scope"], claims["exp"] - claims["iat"]) == ("me@project.iam.example", SCOPE, 3600)
    assert jwt.decode_header(assertion) == {"alg": "RS256", "typ": "JWT", "kid": "key-1"}
    assert first.header("authorization") == second.header("authorization")
    assert re.fullmatch(r"Bearer token-\d+-of/google/token", first.header("authorization"))


def test_the_metadata_server_is_asked_as_it_wants(scene: Scene) -> None:
    _, asked = scene.ask("machine")
    (fetch,) = [asked for asked in scene.tokens.asked if asked.path == "/metadata/token"]
    assert (fetch.method, fetch.header("metadata-flavor")) == ("GET", "Google")
    assert asked.header("authorization").endswith("-of/metadata/token")


def test_an_application_asks_for_its_token_by_its_secret(scene: Scene) -> None:
    _, asked = scene.ask("azure")
    (fetch,) = [asked for asked in scene.tokens.asked if asked.path == "/azure/token"]
    assert parse_qs(fetch.body.decode(), strict_parsing=True) == {
        "grant_type": ["client_credentials"],
        "client_id": ["app"],
        "client_secret": ["s&cret=of the app"],
        "scope": ["https://cognitiveservices.azure.com/.default"],
    }
    assert asked.header("authorization").endswith("-of/azure/token")


@pytest.mark.parametrize("provider", ["aws-1", "google", "azure", "machine", "query", "header"])
def test_what_a_provider_quotes_of_us_is_not_passed_on(scene: Scene, provider: str) -> None:
    reply, asked = scene.ask(provider, "please quote")
    assert reply.status == 400
    assert b"odd" not in reply.body
    for secret in ("sk-of", "sk%2Bof", "token-", "AKID", "authorization"):
        assert secret.encode() not in reply.body
    assert asked.body


def test_a_refused_application_is_the_operators_to_mend_and_only_they_are_told_why(scene: Scene) -> None:
    reply = scene.gateway.doors["edge"].ask("refused/m")
    assert (reply.status, reply.error["code"]) == (502, "provider_auth")
    for detail in (b"invalid_client", b"401", b"cret", b"app", b"/refused"):
        assert detail not in reply.body
    eventually(lambda: "refused got no token" in scene.gateway.command.output, "told to the operator")
    told = scene.gateway.command.output
    assert "its token endpoint refused with 401 (invalid_client)" in told


def test_nothing_secret_is_in_the_log(scene: Scene) -> None:
    for provider in ("aws-1", "google", "azure"):
        scene.ask(provider)
    told = scene.gateway.command.output
    secrets = [signer.keys.secret_key for signer in scene.signers.values()]
    secrets += ["PRIVATE KEY", "s&cret", "token-0", "-of/google", "assertion", "sk-of"]
    # Each is written out in the configuration, so nothing hides it by chance.
    assert not [secret for secret in secrets if secret in told]
