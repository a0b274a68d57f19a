//! Where a target is called: one path, or one for each model, with another one for streams in some dialects.
//!
//! The rule: a model's name that a client chose becomes one segment of the path, whatever is in it.

use std::borrow::Cow;

use hyper::http::uri::PathAndQuery;

/// What stands in a configured path for the model's name.
const MODEL: &str = "{model}";

/// How the path of a reply in one piece ends, and that of a stream.
const STREAMED: [(&str, &str); 5] = [
    // Not a stream, but many texts at once.
    (":embedContent", ":batchEmbedContents"),
    (":generateContent", ":streamGenerateContent?alt=sse"),
    ("/converse", "/converse-stream"),
    ("/invoke", "/invoke-with-response-stream"),
    (":rawPredict", ":streamRawPredict"),
];

/// See the module.
pub enum Paths {
    Fixed {
        plain: PathAndQuery,
        streamed: PathAndQuery,
    },
    /// For whatever model a client asks for.
    Named {
        plain: Box<str>,
        streamed: Box<str>,
    },
}

impl Paths {
    /// `model` is the target's, `None` where the client names it.
    pub(super) fn compile(path: &str, model: Option<&str>) -> Result<Self, String> {
        // Either address of Gemini's embeddings stands for both.
        let path = &path.replace(":batchEmbedContents", ":embedContent");
        let streamed = streamed(path);
        if path.contains(MODEL) && model.is_none() {
            // Whatever the model's name, the rest of it must be a path.
            named(path, "m")
                .and_then(|_| named(&streamed, "m"))
                .ok_or_else(|| format!("speaks: `{path}` is no path"))?;
            return Ok(Self::Named { plain: path.as_str().into(), streamed: streamed.into() });
        }
        let model = model.unwrap_or_default();
        let fixed = |path: &str| named(path, model).ok_or_else(|| format!("speaks: `{path}` is no path"));
        Ok(Self::Fixed { plain: fixed(path)?, streamed: fixed(&streamed)? })
    }

    /// The path of one request, with the client's own query behind ours; `None` for a name that makes no path.
    pub fn of(&self, model: &str, stream: bool, query: Option<&str>) -> Option<PathAndQuery> {
        let path = match self {
            Self::Fixed { plain, streamed } => if stream { streamed } else { plain }.clone(),
            Self::Named { plain, streamed } => named(if stream { streamed } else { plain }, model)?,
        };
        let Some(query) = query else { return Some(path) };
        let joint = if path.query().is_some() { '&' } else { '?' };
        format!("{path}{joint}{query}").parse().ok()
    }
}

fn streamed(path: &str) -> Cow<'_, str> {
    let found = STREAMED.iter().find_map(|(plain, streamed)| Some((path.strip_suffix(plain)?, streamed)));
    found.map_or(Cow::Borrowed(path), |(before, streamed)| format!("{before}{streamed}").into())
}

/// The path with a model's name in it, as one segment.
fn named(path: &str, model: &str) -> Option<PathAndQuery> {
    if !path.starts_with('/') {
        return None;
    }
    if !path.contains(MODEL) {
        return path.parse().ok();
    }
    // To a reader that resolves dots these name another place.
    if matches!(model, "" | "." | "..") {
        return None;
    }
    path.replace(MODEL, &escaped(model)).parse().ok()
}

/// The rest of an address, decoded, as it goes into another one; `None` where it would name another place.
pub(crate) fn segments(below: &str) -> Option<String> {
    if below.is_empty() {
        return Some(String::new());
    }
    let mut out = String::with_capacity(below.len());
    for segment in below.strip_prefix('/')?.split('/') {
        if matches!(segment, "" | "." | "..") {
            return None;
        }
        out.push('/');
        out.push_str(&escaped(segment));
    }
    Some(out)
}

/// The path of what is `below` an address, both already escaped, with the client's own query behind ours.
pub(super) fn path_below(address: &str, model: &str, below: &str, query: Option<&str>) -> Option<PathAndQuery> {
    let (path, ours) = address.split_once('?').map_or((address, None), |(path, query)| (path, Some(query)));
    let mut out = if path.contains(MODEL) { named(path, model)?.to_string() } else { path.to_owned() };
    out.push_str(below);
    for (nth, query) in ours.into_iter().chain(query).enumerate() {
        out.push(if nth == 0 { '?' } else { '&' });
        out.push_str(query);
    }
    out.starts_with('/').then(|| out.parse().ok())?
}

fn escaped(name: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                out.push(HEX.get(usize::from(digit)).copied().map_or('0', char::from));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(template: &str, model: Option<&str>, asked: &str, stream: bool, query: Option<&str>) -> Option<String> {
        let paths = Paths::compile(template, model).unwrap();
        paths.of(asked, stream, query).map(|path| path.to_string())
    }

    #[test]
    fn a_path_without_a_model_is_the_same_for_all() {
        assert_eq!(path("/v1/chat", None, "x", true, None).unwrap(), "/v1/chat");
        assert_eq!(path("/v1/messages", Some("m"), "x", false, Some("beta=true")).unwrap(), "/v1/messages?beta=true");
    }

    #[test]
    fn streams_have_a_path_of_their_own_where_the_dialect_says_so() {
        let gemini = "/v1beta/models/{model}:generateContent";
        assert_eq!(path(gemini, Some("g-1"), "", false, None).unwrap(), "/v1beta/models/g-1:generateContent");
        let streamed = path(gemini, Some("g-1"), "", true, Some("x=1")).unwrap();
        assert_eq!(streamed, "/v1beta/models/g-1:streamGenerateContent?alt=sse&x=1");
        let bedrock = path("/model/{model}/converse", None, "a.b-v1:0", true, None).unwrap();
        assert_eq!(bedrock, "/model/a.b-v1%3A0/converse-stream");
    }

    #[test]
    fn a_name_stays_one_segment() {
        for (name, segment) in [("a/../b", "a%2F..%2Fb"), ("a?b#c", "a%3Fb%23c"), ("ü", "%C3%BC"), ("%2e", "%252e")] {
            assert_eq!(path("/m/{model}/x", None, name, false, None).unwrap(), format!("/m/{segment}/x"));
        }
        for name in ["", ".", ".."] {
            assert_eq!(path("/m/{model}/x", None, name, false, None), None, "{name}");
        }
    }

    #[test]
    fn what_is_below_an_address_stays_below_it() {
        assert_eq!(segments("/file-1/content").as_deref(), Some("/file-1/content"));
        assert_eq!(segments("/a?b#c/ü").as_deref(), Some("/a%3Fb%23c/%C3%BC"));
        for bad in ["/", "/..", "/a/../b", "//a", "a"] {
            assert_eq!(segments(bad), None, "{bad}");
        }
        let path = |address, query| path_below(address, "m", "/x", query).map(|path| path.to_string());
        assert_eq!(path("/v1/files", Some("limit=2")).unwrap(), "/v1/files/x?limit=2");
        assert_eq!(path("/d/{model}/f?api-version=1", Some("a=b")).unwrap(), "/d/m/f/x?api-version=1&a=b");
        assert_eq!(path("files", None), None);
    }

    #[test]
    fn what_is_no_path_is_refused_when_the_table_is_made() {
        assert!(Paths::compile("v1/x", Some("m")).is_err());
        assert!(Paths::compile("/a b/{model}", None).is_err());
    }
}
