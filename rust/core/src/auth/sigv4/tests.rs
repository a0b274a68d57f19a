use serde::Deserialize;

use super::*;

#[test]
fn the_example_of_amazons_own_test_suite_is_signed_as_it_says() {
    let signer = Signer::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None, "us-east-1", "service");
    let request = Unsigned {
        method: "GET",
        path: "/",
        query: "",
        headers: &[("host", b"example.amazonaws.com")],
        payload: sha256_of(b""),
    };
    let proof = signer.sign(&request, 1_440_938_160);
    assert_eq!(proof.date, "20150830T123600Z");
    assert_eq!(
        proof.authorization,
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
         SignedHeaders=host;x-amz-date, \
         Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
    );
}

/// A line of the golden file: what botocore made of a request.
#[derive(Deserialize)]
struct Case {
    unix_s: u64,
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: String,
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    region: String,
    service: String,
    date: String,
    authorization: String,
}

#[test]
fn every_request_is_signed_as_botocore_signs_it() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/sigv4.jsonl");
    let golden = std::fs::read_to_string(golden).unwrap();
    let mut count = 0;
    for line in golden.lines() {
        let case: Case = serde_json::from_str(line).unwrap();
        let token = case.session_token.as_deref();
        let signer = Signer::new(&case.access_key_id, &case.secret_access_key, token, &case.region, &case.service);
        let headers: Vec<(&str, &[u8])> =
            case.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let request = Unsigned {
            method: &case.method,
            path: &case.path,
            query: &case.query,
            headers: &headers,
            payload: sha256_of(case.body.as_bytes()),
        };
        let proof = signer.sign(&request, case.unix_s);
        assert_eq!((proof.date, proof.authorization), (case.date, case.authorization), "{line}");
        count += 1;
    }
    assert!(count >= 100, "{count} cases");
}

#[test]
fn days_have_their_dates() {
    for (unix_s, date) in [
        (0, "19700101T000000Z"),
        (951_782_399, "20000228T235959Z"),
        (951_782_400, "20000229T000000Z"),
        (951_868_800, "20000301T000000Z"),
        (1_709_251_199, "20240229T235959Z"),
        (4_107_542_400, "21000301T000000Z"),
        (253_402_300_799, "99991231T235959Z"),
    ] {
        assert_eq!(timestamp(unix_s), date);
    }
    // No clock is there, and no panic either.
    timestamp(u64::MAX / 2);
}

#[test]
fn credentials_are_not_printed() {
    let signer = Signer::new("AKIDEXAMPLE", "hunter2", Some("hunter3"), "us-east-1", "bedrock");
    let request = Unsigned { method: "GET", path: "/", query: "", headers: &[], payload: [0; 32] };
    let printed = format!("{signer:?} {:?}", signer.sign(&request, 0));
    assert!(printed.contains("bedrock") && !printed.contains("hunter") && !printed.contains("AKID"), "{printed}");
}
