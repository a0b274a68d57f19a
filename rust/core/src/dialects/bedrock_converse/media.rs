//! Images, sounds and documents: a format and bytes, which are base64 in JSON; or a place in S3.
//!
//! The surprise: a document has a name that the model sees, of few kinds of characters and never the same twice.

use std::collections::HashSet;

use crate::dialects::raw::RawValue;

use crate::dialects::message::{MediaSource, Text};
use crate::dialects::object::{self, Object};
use crate::dialects::output::Members;

type Format = (&'static str, &'static str);

/// Words for formats and the media types they stand for; further types of a word stand behind the first.
const IMAGES: &[Format] = &[
    ("png", "image/png"),
    ("jpeg", "image/jpeg"),
    ("jpeg", "image/jpg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
];
const DOCUMENTS: &[Format] = &[
    ("pdf", "application/pdf"),
    ("csv", "text/csv"),
    ("doc", "application/msword"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("xls", "application/vnd.ms-excel"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("html", "text/html"),
    ("txt", "text/plain"),
    ("md", "text/markdown"),
];
const SOUNDS: &[Format] = &[
    ("mp3", "audio/mp3"),
    ("mp3", "audio/mpeg"),
    ("wav", "audio/wav"),
    ("wav", "audio/x-wav"),
    ("opus", "audio/opus"),
    ("aac", "audio/aac"),
    ("flac", "audio/flac"),
    ("ogg", "audio/ogg"),
    ("mp4", "audio/mp4"),
    ("m4a", "audio/m4a"),
    ("webm", "audio/webm"),
    ("pcm", "audio/pcm"),
];
/// The longest name of a document.
const LONGEST_NAME: usize = 200;
const NO_NAME: &str = "document";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Image,
    Document,
    Sound,
}

impl Kind {
    const fn formats(self) -> &'static [Format] {
        match self {
            Self::Image => IMAGES,
            Self::Document => DOCUMENTS,
            Self::Sound => SOUNDS,
        }
    }

    fn media_type(self, format: &str) -> Option<&'static str> {
        self.formats().iter().find(|(word, _)| *word == format).map(|(_, media_type)| *media_type)
    }

    /// The word for a media type, whatever its parameters. All kinds of text are documents of text.
    fn format(self, media_type: &str) -> Option<&'static str> {
        let essence = media_type.split(';').next().unwrap_or_default().trim();
        let known = self.formats().iter().find(|(_, known)| known.eq_ignore_ascii_case(essence));
        let text = || (self == Self::Document && essence.starts_with("text/")).then_some("txt");
        known.map(|(word, _)| *word).or_else(text)
    }

    /// How the target would be told of this source.
    pub(super) fn says(self, source: &MediaSource<'_>) -> Said {
        match source {
            MediaSource::Base64 { media_type, .. } if self.format(media_type).is_some() => Said::Whole,
            MediaSource::Base64 { .. } => Said::Not,
            MediaSource::Url(url) if format_of_place(self, url).is_some() => Said::Whole,
            MediaSource::Url(_) | MediaSource::FileId(_) => Said::Elsewhere,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    Whole,
    /// There is no word for its format.
    Not,
    /// Its bytes are where the target does not look for them.
    Elsewhere,
}

/// The format of something in S3, which only its name tells.
fn format_of_place(kind: Kind, url: &str) -> Option<&'static str> {
    let (_, extension) = url.strip_prefix("s3://")?.rsplit_once('.')?;
    let word = if extension == "jpg" { "jpeg" } else { extension };
    kind.formats().iter().find(|(known, _)| *known == word).map(|(known, _)| *known)
}

/// Takes `format` and `source`; `None` when they are not exactly what the neutral form holds.
pub(super) fn take<'a>(inner: &mut Object<'a, '_>, kind: Kind) -> Option<MediaSource<'a>> {
    let format = inner.peek("format").and_then(object::text)?;
    let media_type = kind.media_type(&format)?;
    let found = inner.peek("source").and_then(source)?;
    let found = match found {
        Source::Bytes(data) => MediaSource::Base64 { media_type: media_type.into(), data },
        Source::Place(url) if format_of_place(kind, &url) == Some(format.as_ref()) => MediaSource::Url(url),
        Source::Place(_) => return None,
    };
    inner.forget("format");
    inner.forget("source");
    Some(found)
}

enum Source<'a> {
    Bytes(Text<'a>),
    Place(Text<'a>),
}

fn source(raw: &RawValue) -> Option<Source<'_>> {
    let mut source = Object::lenient(raw)?;
    let found = if let Some(data) = source.take_if("bytes", object::text) {
        Source::Bytes(data)
    } else {
        let mut place = source.take_if("s3Location", Object::lenient)?;
        let uri = place.take_if("uri", object::text)?;
        place.is_spent().then_some(Source::Place(uri))?
    };
    source.is_spent().then_some(found)
}

pub(super) fn write(members: &mut Members<'_>, source: &MediaSource<'_>, kind: Kind) {
    match source {
        MediaSource::Base64 { media_type, data } => {
            members.text("format", kind.format(media_type).unwrap_or_default());
            members.object("source", |source| source.text("bytes", data));
        }
        MediaSource::Url(url) => {
            members.text("format", format_of_place(kind, url).unwrap_or_default());
            members.object("source", |source| source.object("s3Location", |place| place.text("uri", url)));
        }
        MediaSource::FileId(_) => {}
    }
}

/// The names of the documents in one request.
#[derive(Debug, Default)]
pub(super) struct Names(HashSet<String>);

impl Names {
    /// A name that is allowed and that no document of the request has yet.
    pub(super) fn give(&mut self, filename: Option<&str>) -> String {
        let plain = filename.map(allowed).filter(|name| !name.is_empty()).unwrap_or_else(|| NO_NAME.to_owned());
        let mut name = plain.clone();
        let mut number = 2_usize;
        while self.0.contains(&name) {
            name = format!("{plain} ({number})");
            number += 1;
        }
        self.0.insert(name.clone());
        name
    }

    /// A name that stays as it is.
    pub(super) fn keep(&mut self, name: &str) {
        self.0.insert(name.to_owned());
    }
}

/// Without the ending that the format says already.
fn stem(filename: &str) -> &str {
    match filename.rsplit_once('.') {
        Some((stem, ending)) if !stem.is_empty() && DOCUMENTS.iter().any(|(word, _)| *word == ending) => stem,
        _ => filename,
    }
}

/// Whether the name can be said as it is, apart from the ending.
pub(super) fn keeps_name(filename: &str) -> bool {
    allowed(filename) == stem(filename)
}

/// Letters, digits, single blanks, hyphens and brackets.
fn allowed(filename: &str) -> String {
    let mut name = String::new();
    for character in stem(filename).trim().chars().take(LONGEST_NAME - 20) {
        match character {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '(' | ')' | '[' | ']' => name.push(character),
            _ if character.is_whitespace() && name.ends_with(' ') => {}
            _ if character.is_whitespace() => name.push(' '),
            _ => name.push('-'),
        }
    }
    name
}
