//! Microsoft Entra ID: an application's own token, by its secret (OAuth 2.0 client credentials, RFC 6749, section 4.4).

use super::form::form;

/// The body of a token request. It holds the secret.
pub fn request_body(client_id: &str, client_secret: &str, scope: &str) -> String {
    form(&[
        ("grant_type", "client_credentials"),
        ("client_id", client_id),
        ("client_secret", client_secret),
        ("scope", scope),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_of_a_form_within_a_secret_are_encoded() {
        let body = request_body("app", "a&b=c d+~é", "https://cognitiveservices.azure.com/.default");
        assert_eq!(
            body,
            "grant_type=client_credentials&client_id=app&client_secret=a%26b%3Dc%20d%2B~%C3%A9\
             &scope=https%3A%2F%2Fcognitiveservices.azure.com%2F.default"
        );
    }
}
