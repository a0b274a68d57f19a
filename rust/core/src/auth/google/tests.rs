use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::Value;

use super::*;

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

#[test]
fn an_assertion_is_signed_by_the_account_and_good_for_an_hour() {
    let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(&key).unwrap();
    let pem = pem("PRIVATE KEY", pkcs8.as_ref());
    let (address, scope) = ("https://oauth2.example/token", "https://www.example/auth/platform");
    let account = ServiceAccount::new("me@project.example", Some("k1"), &pem, address, scope).unwrap();
    let body = account.request_body(1_700_000_000).unwrap();
    let assertion =
        body.strip_prefix("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=").unwrap();
    let (signed, signature) = assertion.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let json = |part: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap() };
    assert_eq!(json(header), serde_json::json!({"alg": "RS256", "typ": "JWT", "kid": "k1"}));
    assert_eq!(
        json(claims),
        serde_json::json!({"iss": "me@project.example", "scope": scope, "aud": address, "iat": 1_700_000_000_u64,
            "exp": 1_700_003_600_u64})
    );
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref());
    public.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
    assert!(public.verify(b"another", &URL_SAFE_NO_PAD.decode(signature).unwrap()).is_err());
}

#[test]
fn what_is_no_key_is_refused_without_a_word_of_it() {
    let refused = |pem: &str| ServiceAccount::new("a", None, pem, "b", "c").unwrap_err();
    let begin = "-----BEGIN PRIVATE KEY-----";
    for text in ["", "hunter2", begin, &format!("{begin}hunter2"), &format!("{begin}!-----END PRIVATE KEY-----")] {
        assert_eq!(refused(text), KeyError::NotPem, "{text}");
    }
    assert_eq!(refused(&pem("CERTIFICATE", b"hunter2")), KeyError::NotPem);
    assert_eq!(refused(&pem("PRIVATE KEY", b"hunter2")), KeyError::NotRsa);
    assert_eq!(refused(&pem("RSA PRIVATE KEY", b"hunter2")), KeyError::NotRsa);
    assert!(!refused(&pem("PRIVATE KEY", b"hunter2")).to_string().contains("hunter2"));
}
