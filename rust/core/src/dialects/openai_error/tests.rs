//! Bodies as servers really send them, with invented words in them.

use super::*;

fn parse(body: &str) -> ErrorReply<'_> {
    parse_error(Dialect::OpenAiChat, body.as_bytes())
}

/// body, message, kind, code, param, status
type Shape =
    (&'static str, &'static str, Option<&'static str>, Option<&'static str>, Option<&'static str>, Option<u16>);

const SHAPES: &[Shape] = &[
    (
        r#"{"error":{"message":"too hot","type":"invalid_request_error","param":"temperature","code":null}}"#,
        "too hot",
        Some("invalid_request_error"),
        None,
        Some("temperature"),
        None,
    ),
    (
        r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"},"request_id":"r"}"#,
        "busy",
        Some("overloaded_error"),
        None,
        None,
        None,
    ),
    (
        r#"[{"error":{"code":404,"message":"no such model","status":"NOT_FOUND","details":[]}}]"#,
        "no such model",
        Some("NOT_FOUND"),
        Some("404"),
        None,
        Some(404),
    ),
    (
        r#"{"object":"error","message":"bad model","type":"invalid_model","param":null,"code":"1500","raw_status_code":400}"#,
        "bad model",
        Some("invalid_model"),
        Some("1500"),
        None,
        Some(400),
    ),
    (r#"{"detail":"Unauthorized"}"#, "Unauthorized", None, None, None, None),
    (
        r#"{"detail":[{"loc":["body","messages",0],"msg":"field required"},{"loc":["body"],"msg":"extra"}]}"#,
        "field required; extra",
        None,
        None,
        Some("messages.0"),
        None,
    ),
    (
        r#"{"code":"InvalidApiKey","message":"no key","request_id":"r"}"#,
        "no key",
        None,
        Some("InvalidApiKey"),
        None,
        None,
    ),
    (
        r#"{"code":"The caller may not","error":"key disabled"}"#,
        "key disabled",
        None,
        Some("The caller may not"),
        None,
        None,
    ),
    (r#"{"id":"1","message":"no such model"}"#, "no such model", None, None, None, None),
    (r#"{"error":"model not loaded"}"#, "model not loaded", None, None, None, None),
    (r#"{"error":{"code":"401","message":"denied"}}"#, "denied", None, Some("401"), None, Some(401)),
    ("<html>sk-secret</html>", NOT_JSON, None, None, None, None),
    ("", NOT_JSON, None, None, None, None),
    ("null", NOT_JSON, None, None, None, None),
    ("{}", NO_MESSAGE, None, None, None, None),
    (r#"{"error":{}}"#, NO_MESSAGE, None, None, None, None),
    (r#"{"success":false,"errors":[{"code":7003,"message":"no route"}]}"#, "no route", None, Some("7003"), None, None),
    (
        r#"{"choices":null,"base_resp":{"status_code":1004,"status_msg":"login fail"}}"#,
        "login fail",
        None,
        Some("1004"),
        None,
        None,
    ),
    (r#"{"Message":"slow","__type":"ThrottlingException"}"#, "slow", Some("ThrottlingException"), None, None, None),
    (r#"{"error":true,"message":"x"}"#, "x", None, None, None, None),
    (r#"{"error":"","message":"x"}"#, "x", None, None, None, None),
    (r#"{"code":1001,"msg":"no"}"#, "no", None, Some("1001"), None, None),
    (r#"{"error_code":"BAD","message":"no"}"#, "no", None, Some("BAD"), None, None),
    (r#"{"error":{"error":{"message":"inner","code":"429"}}}"#, "inner", None, Some("429"), None, Some(429)),
    (r#"{"error":["first","second"]}"#, "first; second", None, None, None, None),
    (r#"{"error":{"message":"m","http_status_code":422}}"#, "m", None, None, None, Some(422)),
    (
        r#"{"status":404,"title":"Not Found","detail":"no such function"}"#,
        "no such function",
        None,
        None,
        None,
        Some(404),
    ),
    (r#"{"detail":{"error":{"message":"inner","type":"t"}}}"#, "inner", Some("t"), None, None, None),
    (r#"{"error":{"code":"c"},"message":"top"}"#, "top", None, Some("c"), None, None),
    (r#"{"error":{"code":"c","message":""},"detail":[{"msg":"top"}]}"#, "top", None, Some("c"), None, None),
    (r#"{"error":[{"message":"m","type":"t"},{"message":"n"}]}"#, "m; n", Some("t"), None, None, None),
    (r#"{"errors":["x","y"]}"#, "x; y", None, None, None, None),
    (r#"{"error":{"detail":"d","type":"t"}}"#, "d", Some("t"), None, None, None),
    (r#"{"error":{"detail":[{"msg":"m","loc":["body","n"]}]}}"#, "m", None, None, None, None),
    (r#"{"message":{"detail":[{"msg":"m"}]},"code":"1"}"#, "m", None, Some("1"), None, None),
    (r#"{"message":[{"field":"n","why":7}]}"#, r#"[{"field":"n","why":7}]"#, None, None, None, None),
    (r#"{"message":null,"detail":["d"]}"#, "d", None, None, None, None),
    (r#"{"detail":[{"msg":"m","loc":["body","n"]}]}"#, "m", None, None, Some("n"), None),
    (
        r#"{"error":"Bad Request","message":"n is missing","status":400}"#,
        "n is missing",
        None,
        Some("Bad Request"),
        None,
        Some(400),
    ),
    (
        r#"{"error":"invalid_grant","error_description":"it is over"}"#,
        "it is over",
        None,
        Some("invalid_grant"),
        None,
        None,
    ),
    (r#"{"title":"Too many","status":429}"#, "Too many", None, None, None, Some(429)),
    (r#"{"message":"","error":null}"#, NO_MESSAGE, None, None, None, None),
    (r#"{"detail":""}"#, NO_MESSAGE, None, None, None, None),
];

#[test]
fn every_shape_of_error_is_understood() {
    for (body, message, kind, code, param, status) in SHAPES {
        let error = parse(body);
        assert_eq!(error.message, *message, "{body}");
        assert_eq!(error.kind.as_deref(), *kind, "{body}");
        assert_eq!(error.code.as_deref(), *code, "{body}");
        assert_eq!(error.param.as_deref(), *param, "{body}");
        assert_eq!(error.status, *status, "{body}");
    }
}

#[test]
fn the_provider_behind_a_router_is_heard() {
    let error = parse(
        r#"{"error":{"message":"Provider returned error","code":400,"metadata":{"raw":"{\"error\":\"inner\"}","provider_name":"P"}},"user_id":"u"}"#,
    );
    assert_eq!(error.detail.as_deref(), Some(r#"{"error":"inner"}"#));
    assert_eq!(error.status, Some(400));
}

#[test]
fn openai_errors_keep_what_they_say_and_always_have_four_members() {
    let body = r#"{"error":{"message":"m","type":"t","param":null,"code":"c","failed_generation":"x"}}"#;
    let rendered = render_error(Dialect::OpenAiChat, &parse(body));
    assert_eq!(rendered, body);
    let rendered = render_error(Dialect::OpenAiChat, &parse("{}"));
    assert_eq!(
        rendered,
        format!(r#"{{"error":{{"message":"{NO_MESSAGE}","type":"api_error","param":null,"code":null}}}}"#)
    );
}

#[test]
fn no_dialect_tells_an_empty_sentence_where_there_is_another() {
    for dialect in Dialect::ALL {
        for body in [r#"{"message":" ","detail":"d"}"#, r#"{"error":{"message":"","type":"t"},"message":"d"}"#] {
            assert_eq!(dialect.parse_error(body.as_bytes()).message, "d", "{}: {body}", dialect.name());
        }
        for body in [r#"{"message":""}"#, r#"{"error":" "}"#, r#"{"detail":" "}"#, "\"\"", r#"{"errors":[""]}"#] {
            assert_eq!(dialect.parse_error(body.as_bytes()).message, NO_MESSAGE, "{}: {body}", dialect.name());
        }
    }
}
