use std::time::Duration;

use hyper::header::HeaderMap;

use super::*;

fn request(path: &str, headers: &[(&'static str, &'static str)]) -> Request<Outgoing> {
    let mut request = Request::new(Outgoing::new(None));
    *request.method_mut() = hyper::Method::POST;
    *request.uri_mut() = path.parse().unwrap();
    for (name, value) in headers {
        request.headers_mut().append(*name, HeaderValue::from_static(value));
    }
    request
}

#[test]
fn a_key_for_the_query_is_encoded_and_leaves_what_stands_there() {
    let provider = ProviderSpec { auth: Some(AuthSpec::Query), ..ProviderSpec::default() };
    let key = ("key".to_owned(), "a+b&c=/ü".to_owned());
    let (credential, in_header) = Credential::of(&provider, Some(&key)).unwrap();
    assert!(in_header.is_none());
    for (path, proved) in [
        ("/v1/models/m", "/v1/models/m?key=a%2Bb%26c%3D%2F%C3%BC"),
        ("/v1/models/m?alt=sse", "/v1/models/m?alt=sse&key=a%2Bb%26c%3D%2F%C3%BC"),
    ] {
        let mut request = request(path, &[]);
        credential.prove(&mut request, &[], UNIX_EPOCH);
        assert_eq!(request.uri().to_string(), proved);
    }
    let hidden = credential.fixed_secrets();
    assert!(hidden.contains(&key.1.as_bytes()) && hidden.contains(&b"a%2Bb%26c%3D%2F%C3%BC".as_slice()));
}

fn aws(session_token: Option<&str>) -> Credential {
    let auth = AuthSpec::AwsSigv4 {
        region: "eu-central-1".into(),
        service: "bedrock".into(),
        access_key_id: "AKIDEXAMPLE".into(),
        secret_access_key: "secret-of-the-test".into(),
        session_token: session_token.map(Into::into),
    };
    Credential::of(&ProviderSpec { auth: Some(auth), ..ProviderSpec::default() }, None).unwrap().0
}

fn signed(path: &str, headers: &[(&'static str, &'static str)], frames: &[&'static str]) -> HeaderMap {
    let mut request = request(path, headers);
    let frames: Vec<Bytes> = frames.iter().map(|frame| Bytes::from_static(frame.as_bytes())).collect();
    aws(Some("session-of-the-test")).prove(&mut request, &frames, UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    request.headers().clone()
}

#[test]
fn a_signature_depends_on_the_body_and_not_on_its_frames_or_headers_that_proxies_change() {
    let host = ("host", "bedrock.example");
    let of = |path, headers: &[(&'static str, &'static str)], frames: &[&'static str]| {
        signed(path, headers, frames).get(AUTHORIZATION).unwrap().to_str().unwrap().to_owned()
    };
    let whole = of("/model/a%3A1/converse", &[host], &[r#"{"a": 1}"#]);
    assert_eq!(whole, of("/model/a%3A1/converse", &[host], &[r#"{"a""#, "", ": 1}"]));
    assert_eq!(whole, of("/model/a%3A1/converse", &[host, ("user-agent", "x"), ("accept", "y")], &[r#"{"a": 1}"#]));
    assert_ne!(whole, of("/model/a%3A1/converse", &[host], &[r#"{"a": 2}"#]));
    assert_ne!(whole, of("/model/a:1/converse", &[host], &[r#"{"a": 1}"#]));
    assert_ne!(whole, of("/model/a%3A1/converse", &[host, ("x-amz-more", "1")], &[r#"{"a": 1}"#]));
}

#[test]
fn a_signed_request_carries_its_date_and_its_session_and_hides_them_from_printing() {
    let headers = signed("/model/m/converse", &[("host", "bedrock.example")], &["{}"]);
    assert_eq!(headers.get("x-amz-date").unwrap(), "20231114T221320Z");
    assert_eq!(headers.get("x-amz-security-token").unwrap(), "session-of-the-test");
    let printed = format!("{headers:?}");
    assert!(!printed.contains("session-of-the-test") && !printed.contains("AKID"), "{printed}");
}

#[test]
fn whatever_an_upstream_knows_of_aws_keys_is_a_secret() {
    assert_eq!(aws(Some("session")).fixed_secrets().len(), 3);
    assert_eq!(aws(None).fixed_secrets().len(), 2);
}
