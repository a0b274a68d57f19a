//! Types of media: as clients spell them, what bytes without one are, and which of them each dialect's models read.
//!
//! The rule: a type goes out under its registered name, and an address that holds its bytes itself (`data:`) is never taken
//! for one that can be fetched.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::dialects::Dialect;
use crate::dialects::message::{Block, Content, Json, MediaSource, Text};
use crate::dialects::object::{self, Object};

const PDF: &str = "application/pdf";
const DATA: &str = "data:";
const SVG: &str = "image/svg+xml";

/// Names that clients have for types, and the registered ones.
const SPELLED: [(&str, &str); 7] = [
    ("image/jpg", "image/jpeg"),
    ("image/pjpeg", "image/jpeg"),
    ("image/x-png", "image/png"),
    ("application/x-pdf", PDF),
    ("application/acrobat", PDF),
    ("text/x-markdown", "text/markdown"),
    ("text/json", "application/json"),
];
/// What is text without saying so.
const TEXTS: [&str; 9] = [
    "application/json",
    "application/ld+json",
    "application/x-ndjson",
    "application/xml",
    "application/yaml",
    "application/x-yaml",
    "application/toml",
    "application/javascript",
    "application/sql",
];
const PICTURES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];
/// The ends of names by which a file's type is told where nothing else tells it.
const ENDS: [(&str, &str); 16] = [
    ("pdf", PDF),
    ("txt", "text/plain"),
    ("md", "text/markdown"),
    ("csv", "text/csv"),
    ("html", "text/html"),
    ("json", "application/json"),
    ("xml", "application/xml"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("mp4", "video/mp4"),
    ("mp3", "audio/mpeg"),
];

/// Whether it says to hold its bytes itself.
pub(super) fn is_data(url: &str) -> bool {
    url.get(..DATA.len()).is_some_and(|start| start.eq_ignore_ascii_case(DATA))
}

/// The bytes and the type of a `data:` address, however it is spelled; `None` for one that is none.
pub(super) fn of_data(url: &str) -> Option<MediaSource<'static>> {
    let (head, data) = url.get(DATA.len()..).filter(|_| is_data(url))?.split_once(',')?;
    let (kind, is_base64) = match head.rsplit_once(';') {
        Some((kind, end)) if end.trim().eq_ignore_ascii_case("base64") => (kind, true),
        _ => (head, false),
    };
    let media_type = match kind.trim() {
        "" => "text/plain".to_owned(),
        parameters if parameters.starts_with(';') => format!("text/plain{parameters}"),
        kind => kind.to_owned(),
    };
    let mut data = Text::Owned(if is_base64 { data.to_owned() } else { STANDARD.encode(unescaped(data)) });
    unescape(&mut data);
    Some(MediaSource::Base64 { media_type: media_type.into(), data })
}

/// Base64 that stood in an address may be escaped as one.
pub(super) fn unescape(data: &mut Text<'_>) {
    if data.contains('%')
        && let Ok(plain) = String::from_utf8(unescaped(data))
    {
        *data = plain.into();
    }
}

/// Google's SDKs write base64 in the alphabet that is safe in addresses, which others do not read.
pub(super) fn respell(data: &mut Text<'_>) {
    if data.contains(['-', '_']) {
        let mut plain = data.replace('-', "+").replace('_', "/");
        let odd = plain.trim_end_matches('=').len() % 4;
        if odd > 1 && !plain.ends_with('=') {
            plain.push_str(if odd == 2 { "==" } else { "=" });
        }
        *data = plain.into();
    }
}

/// `%20` and its like as the bytes they stand for; a sign that begins none stays.
fn unescaped(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        let (before, escape) = rest.split_at(at);
        out.extend_from_slice(before.as_bytes());
        let byte = escape.get(1..3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(byte.unwrap_or(b'%'));
        rest = escape.get(if byte.is_some() { 3 } else { 1 }..).unwrap_or_default();
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

/// The type of bytes that came without one: what they begin with tells it, or else the name of their file.
pub(super) fn of_bytes(data: &str, filename: Option<&str>) -> Option<&'static str> {
    const BEGINNINGS: [(&str, &str); 4] =
        [("JVBERi0", PDF), ("iVBORw0KGgo", "image/png"), ("/9j/", "image/jpeg"), ("R0lGOD", "image/gif")];
    // `RIFF`, a length, and then what it is: its last three letters are four of base64.
    const OF_RIFF: [(&str, &str); 2] = [("RUJQ", "image/webp"), ("QVZF", "audio/wav")];
    let riff = data.get(12..16).filter(|_| data.starts_with("UklGR"));
    let known = BEGINNINGS.iter().find(|(beginning, _)| data.starts_with(beginning));
    let known = known.or_else(|| OF_RIFF.iter().find(|(form, _)| riff == Some(*form)));
    known.map(|(_, media_type)| *media_type).or_else(|| of_name(filename?))
}

/// Samples without a head that says what they are: whoever takes files of sounds cannot read them.
fn is_bare_sound(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default();
    let kind = essence.strip_prefix("audio/").unwrap_or_default();
    matches!(kind, "l8" | "l16" | "l20" | "l24" | "pcm" | "basic" | "raw" | "x-raw")
}

fn of_name(name: &str) -> Option<&'static str> {
    let (_, end) = name.rsplit_once('.')?;
    ENDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(end)).map(|(_, media_type)| *media_type)
}

/// The type of what is at an address, as far as its path tells it.
pub(super) fn of_address(url: &str) -> Option<&'static str> {
    let (_, rest) = url.split_once("://")?;
    let path = rest.split(['?', '#']).next()?;
    of_name(path.split_once('/')?.1)
}

/// Whether a type is none.
pub(super) fn says_nothing(media_type: &str) -> bool {
    matches!(media_type, "" | "application/octet-stream" | "binary/octet-stream" | "image/*")
}

/// Brings a type to its registered name. What stands behind it tells a model nothing, but of sounds and of texts in another
/// alphabet.
pub(super) fn spell(media_type: &mut Text<'_>) {
    let (essence, behind) = media_type.split_once(';').unwrap_or((media_type, ""));
    let lower = essence.trim().to_ascii_lowercase();
    let known = SPELLED.iter().find(|(said, _)| *said == lower).map(|(_, registered)| *registered);
    let essence = known.unwrap_or(&lower);
    let keeps = essence.starts_with("audio/") || (essence.starts_with("text/") && is_of_another_alphabet(behind));
    let spelled = if keeps && !behind.is_empty() { format!("{essence};{behind}") } else { essence.to_owned() };
    if spelled != *media_type {
        *media_type = spelled.into();
    }
}

fn is_of_another_alphabet(parameters: &str) -> bool {
    let mut charsets = parameters.split(';').filter_map(|parameter| parameter.trim().split_once('='));
    charsets.any(|(name, value)| {
        let value = value.trim_matches(['"', ' ']);
        name.eq_ignore_ascii_case("charset")
            && !["utf-8", "utf8", "us-ascii"].iter().any(|k| k.eq_ignore_ascii_case(value))
    })
}

/// Whether a document of this type is nothing but text.
pub(super) fn is_text(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default();
    essence.starts_with("text/") || essence == SVG || TEXTS.contains(&essence)
}

/// The text of bytes that are one.
pub(super) fn text_of(data: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(data.as_bytes()).ok()?).ok()
}

/// Whether models that are spoken to in a dialect read media of this type. Who speaks chat differs, so little is refused.
pub(super) fn reads(target: Dialect, block: &Block<'_>) -> bool {
    let (source, is_picture) = match &block.content {
        Content::Image { source, .. } => (source, true),
        Content::File { source, .. } => (source, false),
        Content::Audio { source: MediaSource::Base64 { media_type, .. } } => {
            return target != Dialect::OpenAiChat || !is_bare_sound(media_type);
        }
        _ => return true,
    };
    let (media_type, data) = match source {
        MediaSource::Base64 { media_type, data } => (media_type.as_ref(), data),
        // Only PDF is fetched.
        MediaSource::Url(url) if target == Dialect::AnthropicMessages && !is_picture => {
            return type_beside(block).or_else(|| of_address(url).map(str::to_owned)).is_none_or(|kind| kind == PDF);
        }
        MediaSource::Url(_) | MediaSource::FileId(_) => return true,
    };
    match target {
        _ if is_picture && media_type == SVG => false,
        Dialect::AnthropicMessages | Dialect::OpenAiResponses if is_picture => PICTURES.contains(&media_type),
        _ if is_picture || media_type.starts_with("video/") => true,
        Dialect::AnthropicMessages => media_type == PDF || (is_text(media_type) && text_of(data).is_some()),
        Dialect::Gemini => media_type == PDF || media_type.starts_with("text/"),
        Dialect::OpenAiChat => media_type == PDF,
        _ => true,
    }
}

/// The type that stands beside an address of Google's clients.
pub(super) fn type_beside(block: &Block<'_>) -> Option<String> {
    let rest = block.extras.get(Dialect::Gemini, "fileData").and_then(Json::as_raw);
    let kind = rest.and_then(Object::lenient).and_then(|rest| rest.peek("mimeType"))?;
    object::text(kind).map(Text::into_owned)
}

/// Whether a film is behind an address: by the type beside it, or where Google's models alone look at films.
pub(super) fn is_film(block: &Block<'_>, url: &str) -> bool {
    const HOSTS: [&str; 4] = ["youtube.com", "www.youtube.com", "m.youtube.com", "youtu.be"];
    if type_beside(block).is_some_and(|kind| kind.starts_with("video/")) {
        return true;
    }
    let host = url.split_once("://").and_then(|(_, rest)| rest.split(['/', '?', '#']).next());
    host.is_some_and(|host| HOSTS.iter().any(|known| known.eq_ignore_ascii_case(host)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_holds_its_bytes_is_read_however_it_is_spelled() {
        for (url, media_type, data) in [
            ("data:image/png;base64,AAAA", "image/png", "AAAA"),
            ("DATA:image/png;BASE64,AAAA", "image/png", "AAAA"),
            ("data:text/plain;charset=utf-8;base64,aGk=", "text/plain;charset=utf-8", "aGk="),
            ("data:image/png;base64,AA%2BA", "image/png", "AA+A"),
            ("data:text/plain,hello%20you", "text/plain", "aGVsbG8geW91"),
            ("data:,100%", "text/plain", "MTAwJQ=="),
            ("data:;charset=latin1,x", "text/plain;charset=latin1", "eA=="),
        ] {
            let read = of_data(url);
            assert_eq!(read, Some(MediaSource::Base64 { media_type: media_type.into(), data: data.into() }), "{url}");
        }
        for url in ["data:image/png;base64", "https://example.com/a,b", "dat", ""] {
            assert_eq!(of_data(url), None, "{url}");
        }
    }

    #[test]
    fn a_type_goes_out_under_its_registered_name() {
        for (said, spelled) in [
            ("image/jpg", "image/jpeg"),
            ("IMAGE/PNG; q=1", "image/png"),
            ("text/plain;charset=UTF-8", "text/plain"),
            ("text/plain;charset=latin1", "text/plain;charset=latin1"),
            ("audio/L16;rate=24000", "audio/l16;rate=24000"),
        ] {
            let mut media_type = Text::Borrowed(said);
            spell(&mut media_type);
            assert_eq!(media_type, spelled);
        }
    }
}
