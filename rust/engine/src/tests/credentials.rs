//! Tokens through all of their life: the first, its successors, and what becomes of requests while there is none.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::time::advance;

use super::rig::{self, PATIENCE, Reply, Rig, at_once, header, read_request, upstream_of};
use crate::clocks::Patience;
use crate::credentials::{AuthSpec, EndpointSpec, GrantSpec, TokenSpec};
use crate::table::{Table, TableSpec};

const ANSWER: &str = concat!(
    r#"{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"#,
    r#""assistant","content":"hi"},"finish_reason":"stop"}],"#,
    r#""usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#
);

/// What a server was asked, whole requests in their order.
type Asked = Arc<Mutex<Vec<String>>>;

fn response(status: u16, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
}

/// A server that answers its requests, counted from 0, as `answer` says: with status and body, or not at all.
async fn serving(answer: fn(usize, &str) -> Option<(u16, String)>) -> (SocketAddr, Asked) {
    let asked = Asked::default();
    let log = asked.clone();
    let address = upstream_of(move |_, mut stream| {
        let log = log.clone();
        async move {
            while let Some(request) = read_request(&mut stream).await {
                let number = {
                    let mut log = log.lock().unwrap();
                    log.push(request.clone());
                    log.len() - 1
                };
                match answer(number, &request) {
                    Some((status, body)) => stream.write_all(response(status, &body).as_bytes()).await.unwrap(),
                    None => std::future::pending().await,
                }
            }
        }
    });
    (address.await, asked)
}

#[expect(clippy::unnecessary_wraps, reason = "as `serving` wants it")]
fn content(_: usize, _: &str) -> Option<(u16, String)> {
    Some((200, ANSWER.into()))
}

#[expect(clippy::unnecessary_wraps, reason = "as `serving` wants it")]
fn hourly(number: usize, _: &str) -> Option<(u16, String)> {
    Some((200, format!(r#"{{"access_token": "token-number-{number}", "expires_in": 3600}}"#)))
}

fn count(asked: &Asked) -> usize {
    asked.lock().unwrap().len()
}

/// The tokens that requests came with.
fn bearers(asked: &Asked) -> Vec<String> {
    let asked = asked.lock().unwrap();
    asked.iter().map(|request| header(request, "authorization").unwrap_or("none").to_owned()).collect()
}

fn entra(at: SocketAddr, client_secret: &str) -> AuthSpec {
    AuthSpec::Token(TokenSpec {
        at: EndpointSpec {
            scheme: "http".into(),
            host: at.ip().to_string(),
            port: at.port(),
            path: "/tenant/oauth2/v2.0/token".into(),
        },
        by: GrantSpec::AzureEntra {
            client_id: "app".into(),
            client_secret: client_secret.into(),
            scope: "https://models.example/.default".into(),
        },
    })
}

fn table(generation: u64, upstream: SocketAddr, auth: AuthSpec) -> TableSpec {
    let mut spec = rig::table(generation, &[upstream], &Patience::default());
    let provider = spec.providers.first_mut().unwrap();
    provider.headers.clear();
    provider.auth = Some(auth);
    spec
}

async fn rig_of(upstream: SocketAddr, auth: AuthSpec) -> Rig {
    Rig::new(table(1, upstream, auth), at_once(&[0])).await
}

/// Lets what is under way in the background come to its end.
async fn until(what: impl Fn() -> bool) {
    let wait = async {
        while !what() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("it never came to be");
}

#[test]
fn a_credential_that_cannot_work_is_refused_with_its_place_and_without_its_text() {
    let place = "127.0.0.1:1".parse().unwrap();
    let AuthSpec::Token(TokenSpec { at, .. }) = entra(place, "unused") else { panic!("it is a token's") };
    let account = GrantSpec::GoogleServiceAccount {
        client_email: "me@project.example".into(),
        private_key_id: None,
        private_key: "hunter2".into(),
        audience: "https://oauth2.example/token".into(),
        scope: "all".into(),
    };
    let pathless = EndpointSpec { path: "hunter2".into(), scheme: "https".into(), host: "h".into(), port: 1 };
    let signing = AuthSpec::AwsSigv4 {
        region: "eu-central-1".into(),
        service: "bedrock".into(),
        access_key_id: "hunter2\n".into(),
        secret_access_key: "s".into(),
        session_token: None,
    };
    for (auth, what) in [
        (AuthSpec::Token(TokenSpec { at, by: account }), "auth.private_key: the private key is not in PEM"),
        (AuthSpec::Token(TokenSpec { at: pathless, by: GrantSpec::GoogleMetadata }), "auth.at.path: it is no path"),
        (signing, "auth: a value holds a character that no header may carry"),
    ] {
        let refused = Table::compile(table(1, place, auth)).err().unwrap();
        assert_eq!(refused.to_string(), format!("targets[0].{what}"));
    }
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn many_first_requests_wait_for_one_token() {
    let (tokens, fetched) = serving(hourly).await;
    let (upstream, asked) = serving(content).await;
    let rig = rig_of(upstream, entra(tokens, "first")).await;
    let replies = tokio::join!(rig.chat(), rig.chat(), rig.chat(), rig.chat());
    for reply in <[Reply; 4]>::from(replies) {
        assert_eq!(reply.status(), 200, "{}", reply.body);
    }
    assert_eq!(bearers(&asked), ["Bearer token-number-0"; 4]);
    let fetched = fetched.lock().unwrap();
    let [fetch] = &fetched[..] else { panic!("{fetched:?}") };
    assert!(fetch.starts_with("POST /tenant/oauth2/v2.0/token HTTP/1.1\r\n"), "{fetch}");
    assert!(fetch.ends_with(
        "\r\n\r\ngrant_type=client_credentials&client_id=app&client_secret=first\
         &scope=https%3A%2F%2Fmodels.example%2F.default"
    ));
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_token_is_replaced_before_it_expires_and_nobody_waits_for_that() {
    let (tokens, fetched) = serving(|number, request| if number == 1 { None } else { hourly(number, request) }).await;
    let (upstream, asked) = serving(content).await;
    let rig = rig_of(upstream, entra(tokens, "refreshed")).await;
    rig.chat().await;
    advance(Duration::from_secs(2600)).await;
    rig.chat().await;
    assert_eq!(count(&fetched), 1, "it is young");
    advance(Duration::from_secs(500)).await;
    rig.chat().await;
    until(|| count(&fetched) == 2).await;
    rig.chat().await;
    assert_eq!(bearers(&asked), ["Bearer token-number-0"; 4], "the new one is not there yet");
    // That fetch gets no answer and is given up; a little later somebody begins another one.
    advance(Duration::from_secs(11)).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    rig.chat().await;
    until(|| count(&fetched) == 3).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    rig.chat().await;
    assert_eq!(bearers(&asked).last().unwrap(), "Bearer token-number-2");
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn while_no_new_token_comes_the_old_one_serves_to_its_end_and_then_the_provider_is_told_to_be_at_fault() {
    let (tokens, fetched) = serving(|number, request| match number {
        0 | 4.. => hourly(number, request),
        _ => Some((401, r#"{"error": "invalid_client", "error_description": "hunter2"}"#.into())),
    })
    .await;
    let (upstream, asked) = serving(content).await;
    let rig = rig_of(upstream, entra(tokens, "failing")).await;
    rig.chat().await;
    for (after_s, fetches) in [(3200, 2), (300, 3)] {
        advance(Duration::from_secs(after_s)).await;
        assert_eq!(rig.chat().await.status(), 200);
        until(|| count(&fetched) == fetches).await;
        assert_eq!(rig.chat().await.status(), 200);
    }
    advance(Duration::from_secs(100)).await;
    let reply = rig.chat().await;
    assert_eq!((reply.status(), reply.code().as_str()), (502, "provider_auth"));
    for secret in ["hunter2", "invalid_client", "401", "token-number", "failing"] {
        assert!(!reply.body.contains(secret), "{}", reply.body);
    }
    assert_eq!(count(&fetched), 4, "it was asked once more");
    let reply = rig.chat().await;
    assert_eq!((reply.status(), count(&fetched)), (502, 4), "and not again at once");
    assert_eq!(bearers(&asked), ["Bearer token-number-0"; 5]);
    advance(Duration::from_secs(60)).await;
    assert_eq!(rig.chat().await.status(), 200);
    assert_eq!(bearers(&asked).last().unwrap(), "Bearer token-number-4");
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_request_waits_for_its_token_no_longer_than_it_may() {
    let (tokens, _) = serving(|_, _| None).await;
    let (upstream, asked) = serving(content).await;
    let mut spec = table(1, upstream, entra(tokens, "silent"));
    for route in &mut spec.routes {
        route.patience.total_timeout_s = 3.0;
    }
    let rig = Rig::new(spec, at_once(&[0])).await;
    let reply = rig.chat().await;
    assert_eq!((reply.status(), reply.code().as_str()), (504, "upstream_timeout"));
    // Others may wait longer: the fetch goes on without the one that began it, to its own end.
    let mut patient = table(2, upstream, entra(tokens, "silent"));
    patient.generation = 1;
    rig.swap(patient);
    let reply = rig.chat().await;
    assert_eq!((reply.status(), reply.code().as_str()), (502, "provider_auth"));
    assert_eq!(count(&asked), 0);
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_reload_keeps_the_token_of_what_did_not_change() {
    let (tokens, fetched) = serving(hourly).await;
    let (upstream, asked) = serving(content).await;
    let rig = rig_of(upstream, entra(tokens, "kept")).await;
    rig.chat().await;
    rig.swap(table(1, upstream, entra(tokens, "kept")));
    rig.chat().await;
    assert_eq!(count(&fetched), 1);
    rig.swap(table(1, upstream, entra(tokens, "changed")));
    rig.chat().await;
    assert_eq!(bearers(&asked), ["Bearer token-number-0", "Bearer token-number-0", "Bearer token-number-1"]);
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn what_an_upstream_quotes_of_a_token_is_not_passed_on() {
    let (tokens, _) = serving(hourly).await;
    let (upstream, _) = serving(|number, request| {
        let quoted = if number == 0 { header(request, "authorization").unwrap_or_default() } else { "of your own" };
        Some((400, format!(r#"{{"error": {{"message": "bad field {quoted}", "type": "invalid_request_error"}}}}"#)))
    })
    .await;
    let rig = rig_of(upstream, entra(tokens, "quoted")).await;
    let (quoting, plain) = (rig.chat().await, rig.chat().await);
    assert_eq!((quoting.status(), plain.status()), (400, 400));
    assert!(!quoting.body.contains("token-number"), "{}", quoting.body);
    assert!(plain.body.contains("bad field of your own"), "other words are: {}", plain.body);
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_token_that_is_refused_early_is_replaced_but_not_over_and_over() {
    let (tokens, fetched) = serving(hourly).await;
    let (upstream, asked) = serving(|_, request| {
        let withdrawn = header(request, "authorization") == Some("Bearer token-number-0");
        if withdrawn { Some((401, r#"{"error": {"message": "no"}}"#.into())) } else { content(0, request) }
    })
    .await;
    let rig = rig_of(upstream, entra(tokens, "withdrawn")).await;
    for _ in 0..3 {
        assert_eq!(rig.chat().await.code(), "provider_auth");
    }
    assert_eq!(count(&fetched), 1, "a new one is no cure");
    advance(Duration::from_secs(31)).await;
    assert_eq!(rig.chat().await.code(), "provider_auth");
    assert_eq!(rig.chat().await.status(), 200);
    assert_eq!((count(&fetched), bearers(&asked).len()), (2, 5));
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_metadata_server_is_asked_as_it_wants_and_a_long_answer_is_none() {
    let (tokens, fetched) =
        serving(
            |number, request| {
                if number == 0 { hourly(number, request) } else { Some((200, "x".repeat(65 * 1024))) }
            },
        )
        .await;
    let metadata = |path: &str| {
        let AuthSpec::Token(TokenSpec { at, .. }) = entra(tokens, "unused") else { panic!("it is a token's") };
        AuthSpec::Token(TokenSpec { at: EndpointSpec { path: path.into(), ..at }, by: GrantSpec::GoogleMetadata })
    };
    let (upstream, asked) = serving(content).await;
    let rig = rig_of(upstream, metadata("/computeMetadata/v1/token")).await;
    rig.chat().await;
    assert_eq!(bearers(&asked), ["Bearer token-number-0"]);
    let first = fetched.lock().unwrap()[0].clone();
    assert!(first.starts_with("GET /computeMetadata/v1/token HTTP/1.1\r\n"), "{first}");
    assert_eq!(header(&first, "metadata-flavor"), Some("Google"));
    rig.swap(table(1, upstream, metadata("/another")));
    assert_eq!(rig.chat().await.code(), "provider_auth");
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn an_endpoint_in_trouble_is_a_way_that_is_closed_and_one_that_refuses_is_a_key_that_is_out() {
    let (upstream, _) = serving(content).await;
    for (status, kind) in [(503, "refused"), (400, "auth")] {
        let (tokens, _) = match status {
            503 => serving(|_, _| Some((503, String::new()))).await,
            _ => serving(|_, _| Some((400, r#"{"error": "invalid_scope"}"#.into()))).await,
        };
        let rig = rig_of(upstream, entra(tokens, "trouble")).await;
        let reply = rig.chat().await;
        assert_eq!((reply.status(), reply.code().as_str()), (502, "provider_auth"));
        let failure = rig.story().await.attempts[0].failure.clone().unwrap();
        assert_eq!(failure.kind.name(), kind, "{status}");
    }
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_redirect_of_a_token_endpoint_is_not_followed() {
    let (elsewhere, followed) = serving(hourly).await;
    let tokens = upstream_of(move |_, mut stream| async move {
        read_request(&mut stream).await;
        let reply = format!("HTTP/1.1 307 X\r\nlocation: http://{elsewhere}/\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(reply.as_bytes()).await.unwrap();
    });
    let (upstream, _) = serving(content).await;
    let rig = rig_of(upstream, entra(tokens.await, "redirected")).await;
    assert_eq!(rig.chat().await.code(), "provider_auth");
    assert_eq!(count(&followed), 0);
}
