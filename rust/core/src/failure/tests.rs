use std::time::SystemTime;

use super::*;

/// The failure of a reply with this status and body and no headers.
fn classified(status: u16, body: &str) -> Failure {
    reply(status, body).classify()
}

fn reply(status: u16, body: &str) -> ErrorReply<'_> {
    ErrorReply {
        status,
        body: body.as_bytes(),
        retry_after: None,
        retry_after_ms: None,
        should_retry: None,
        now: SystemTime::UNIX_EPOCH,
    }
}

/// An invented error reply in the manner of a provider.
struct Case {
    provider: &'static str,
    status: u16,
    kind: &'static str,
    client_status: u16,
    body: &'static str,
}

fn cases() -> Vec<Case> {
    let lines = include_str!("../../../../tests/golden/upstream_errors.tsv").lines().skip(1);
    let cases: Vec<Case> = lines
        .map(|line| {
            let [provider, status, kind, client_status, body] = line.split('\t').collect::<Vec<_>>()[..] else {
                panic!("five columns: {line}");
            };
            Case {
                provider,
                status: status.parse().unwrap(),
                kind,
                client_status: client_status.parse().unwrap(),
                body,
            }
        })
        .collect();
    assert!(cases.len() > 50);
    cases
}

#[test]
fn every_providers_errors_are_told_apart() {
    for case in cases() {
        let failure = classified(case.status, case.body);
        let told = (failure.kind.name(), failure.status, failure.upstream_status);
        let expected = (case.kind, case.client_status, Some(case.status));
        assert_eq!(told, expected, "{} {} {}", case.provider, case.status, case.body);
    }
}

#[test]
fn what_a_client_wrote_takes_no_key_and_no_model_from_others() {
    for (status, body) in [
        (
            400,
            r#"{"error":{"message":"Invalid value: 'credit balance'. Supported values are: 'user'.","type":"invalid_request_error","code":"invalid_value"}}"#,
        ),
        (
            400,
            r#"{"error":{"message":"Invalid value: 'invalid api key'.","type":"invalid_request_error","code":"invalid_value"}}"#,
        ),
        (400, r#"{"error":{"message":"Unknown role: your credit balance","type":"invalid_request_error"}}"#),
        (400, r#"{"error":{"message":"Unknown role `model not found`, isn't it","type":"invalid_request_error"}}"#),
        (422, r#"{"detail":[{"msg":"Input should be 'user'"}],"message":"body: got \"insufficient balance\""}"#),
        (
            403,
            r#"{"error":{"code":403,"message":"You may not use the File abc or it may not exist.","status":"PERMISSION_DENIED"}}"#,
        ),
        (
            403,
            r#"{"error":{"code":403,"message":"x does not have storage.objects.get access to the object.","status":"PERMISSION_DENIED"}}"#,
        ),
    ] {
        assert_eq!(classified(status, body).kind, Kind::BadRequest, "{status} {body}");
    }
    for (status, body, kind) in [
        (400, r#"{"error":{"message":"Your credit balance is too low.","type":"invalid_request_error"}}"#, Kind::Quota),
        (500, r#"{"type":"error","error":{"type":"api_error","message":"insufficient balance (1008)"}}"#, Kind::Quota),
        (200, r#"{"base_resp":{"status_code":1002,"status_msg":"rate limit"}}"#, Kind::RateLimited),
        (500, r#"{"error":{"message":"Failed to parse: I must say: insufficient balance"}}"#, Kind::UpstreamError),
        (
            403,
            r#"{"message":"User: arn:x is not authorized to perform: bedrock:InvokeModel on: inference-profile/m"}"#,
            Kind::Forbidden,
        ),
        (403, r#"{"error":{"message":"Missing scopes: api.responses.write"}}"#, Kind::Forbidden),
        (404, r#"{"detail":"Not Found"}"#, Kind::NotFound),
        (404, r#"{"type":"error","error":{"type":"not_found_error","message":"model: m"}}"#, Kind::NotFound),
        (403, r#"{"error":{"message":"The key may not sample from it."}}"#, Kind::Forbidden),
    ] {
        assert_eq!(classified(status, body).kind, kind, "{status} {body}");
    }
}

#[test]
fn a_model_is_left_out_only_where_it_is_certain_that_it_is_the_model_that_is_missing() {
    for (status, body, certain) in [
        (404, r#"{"error":{"message":"The model `x` does not exist","code":"model_not_found"}}"#, true),
        (
            404,
            r#"{"error":{"code":404,"message":"models/x-image is not found for API version v1.","status":"NOT_FOUND"}}"#,
            true,
        ),
        (404, r#"{"type":"error","error":{"type":"not_found_error","message":"model: x"}}"#, true),
        (404, r#"{"error":"model 'x' not found"}"#, true),
        (404, "<html>", true),
        (400, r#"{"error":{"message":"x is not a valid model ID","code":400}}"#, true),
        (404, r#"{"type":"error","error":{"type":"not_found_error","message":"File not found: file_model"}}"#, false),
        (404, r#"{"type":"error","error":{"type":"not_found_error","message":"Skill not found: skill_x"}}"#, false),
        (404, r#"{"type":"error","error":{"type":"not_found_error","message":"file_model was not found"}}"#, false),
        (
            400,
            r#"{"error":{"message":"Invalid value: 'BAD' invalid model 'y'. Supported values are: 'user'."}}"#,
            false,
        ),
        (
            400,
            r#"{"error":{"code":400,"message":"Unsupported MIME type: invalid model","status":"INVALID_ARGUMENT"}}"#,
            false,
        ),
    ] {
        let failure = classified(status, body);
        assert_eq!(failure.kind, Kind::NotFound, "{status} {body}");
        assert_eq!(failure.origin == Origin::Operator, certain, "{status} {body}");
    }
}

#[test]
fn what_speaks_of_the_operators_keys_and_accounts_is_never_passed_on() {
    let mut shown = 0;
    for case in cases() {
        let failure = classified(case.status, case.body);
        let secret = matches!(case.status, 401..=403) || matches!(case.kind, "auth" | "forbidden" | "quota");
        assert!(!(secret && failure.pass_through), "{} {}", case.provider, case.body);
        assert!(!failure.pass_through || case.status == 200 || failure.status == case.status);
        shown += usize::from(failure.pass_through);
    }
    assert!(shown > 10);
}

#[test]
fn an_upstreams_words_never_become_ours() {
    let failure = classified(429, r#"{"error":{"message":"xyzzy","code":"xyzzy"}}"#);
    let rendered = render_openai_error(&failure);
    assert!(!String::from_utf8(rendered.to_vec()).unwrap().contains("xyzzy"));
    assert!(!failure.to_string().contains("xyzzy"));
}

#[test]
fn a_key_that_is_out_calls_for_another_key_and_an_ambiguous_failure_for_one_more_try_elsewhere() {
    for (status, retry) in [
        (400, Retry::Never),
        (401, Retry::OtherKey),
        (402, Retry::OtherKey),
        (403, Retry::OtherKey),
        (404, Retry::Never),
        (408, Retry::ElsewhereOnce),
        (409, Retry::Never),
        (413, Retry::Never),
        (422, Retry::Never),
        (425, Retry::SameOrElsewhere),
        (429, Retry::SameOrElsewhere),
        (500, Retry::ElsewhereOnce),
        (502, Retry::ElsewhereOnce),
        (503, Retry::SameOrElsewhere),
        (504, Retry::ElsewhereOnce),
        (529, Retry::SameOrElsewhere),
    ] {
        assert_eq!(classified(status, "").retry, retry, "{status}");
    }
}

#[test]
fn only_what_may_have_been_carried_out_is_in_doubt() {
    for (status, in_doubt) in [(408, true), (500, false), (502, true), (503, false), (504, true), (524, true)] {
        assert_eq!(classified(status, "").ambiguous(), in_doubt, "{status}");
    }
    for (kind, in_doubt) in [
        (Kind::Reset, true),
        (Kind::Truncated, true),
        (Kind::Malformed, true),
        (Kind::FirstTokenSoft, true),
        (Kind::Refused, false),
        (Kind::ResetUnwritten, false),
    ] {
        assert_eq!(Failure::new(kind).ambiguous(), in_doubt, "{kind:?}");
    }
}

#[test]
fn the_wait_is_read_where_it_means_one() {
    let limited = ErrorReply { retry_after: Some(b"7"), ..reply(429, "") };
    assert_eq!(limited.classify().retry_after_ms, Some(7_000));
    let failed = ErrorReply { retry_after: Some(b"7"), ..reply(500, "") };
    assert_eq!(failed.classify().retry_after_ms, None);
    let google = r#"{"error":{"code":429,"details":[{"retryDelay":"48s"}]}}"#;
    assert_eq!(classified(429, google).retry_after_ms, Some(48_000));
}

#[test]
fn the_upstreams_own_opinion_about_trying_again_overrides_the_table() {
    let asked = |status, body, should_retry: &'static [u8]| {
        ErrorReply { should_retry: Some(should_retry), ..reply(status, body) }.classify().retry
    };
    assert_eq!(asked(409, "", b"true"), Retry::SameOrElsewhere);
    assert_eq!(asked(500, "", b"true"), Retry::SameOrElsewhere);
    assert_eq!(asked(429, "", b"false"), Retry::Elsewhere);
    assert_eq!(asked(401, "", b"true"), Retry::OtherKey);
    assert_eq!(asked(400, r#"{"error":{"code":"content_filter"}}"#, b"true"), Retry::Never);
    assert_eq!(asked(429, "", b"perhaps"), Retry::SameOrElsewhere);
}

#[test]
fn only_what_passes_by_itself_is_worth_a_clients_second_try() {
    let mut limited = Failure::at(Kind::RateLimited, Origin::Gateway);
    assert!(!limited.client_should_retry());
    limited.retry_after_ms = Some(60_000);
    assert!(limited.client_should_retry());
    limited.retry_after_ms = Some(60_001);
    assert!(!limited.client_should_retry());
    assert!(Failure::new(Kind::Shutdown).client_should_retry());
    assert!(Failure::at(Kind::Overloaded, Origin::Gateway).client_should_retry());
    for kind in [Kind::UpstreamError, Kind::Quota, Kind::Auth, Kind::Truncated, Kind::FirstTokenHard] {
        assert!(!Failure::new(kind).client_should_retry(), "{kind:?}");
    }
}

#[test]
fn the_same_kind_reads_differently_by_whose_key_it_is() {
    for (kind, origin, status, code, openai_type) in [
        (Kind::Auth, Origin::Client, 401, "invalid_api_key", "authentication_error"),
        (Kind::Auth, Origin::Operator, 502, "provider_auth", "api_error"),
        (Kind::Forbidden, Origin::Client, 403, "permission_denied", "permission_error"),
        (Kind::Forbidden, Origin::Operator, 502, "provider_auth", "api_error"),
        (Kind::Quota, Origin::Client, 429, "insufficient_quota", "insufficient_quota"),
        (Kind::Quota, Origin::Operator, 503, "provider_quota", "api_error"),
        (Kind::RateLimited, Origin::Gateway, 429, "rate_limit_exceeded", "rate_limit_error"),
        (Kind::Overloaded, Origin::Gateway, 503, "overloaded", "overloaded_error"),
    ] {
        let failure = Failure::at(kind, origin);
        assert_eq!(
            (failure.status, failure.code, failure.openai_type()),
            (status, code, openai_type),
            "{kind:?} {origin:?}"
        );
    }
}

#[test]
fn an_error_is_rendered_in_openais_shape_as_a_body_and_as_an_event() {
    let failure = Failure::new(Kind::BadRequest).saying("model: missing; name \"one\"").about("model");
    let body = r#"{"error":{"message":"model: missing; name \"one\"","type":"invalid_request_error","param":"model","code":"invalid_request"}}"#;
    assert_eq!(render_openai_error(&failure), body);
    assert_eq!(render_openai_error_event(&failure), format!("data: {body}\n\n"));
    let truncated = String::from_utf8(render_openai_error(&Failure::new(Kind::Truncated)).to_vec()).unwrap();
    assert!(truncated.contains(r#""param":null,"code":"upstream_truncated""#));
}

#[test]
fn a_failure_is_small_enough_to_return() {
    assert!(size_of::<Failure>() <= 128, "{}", size_of::<Failure>());
}
