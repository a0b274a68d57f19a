//! Finds one field of a `multipart/form-data` body (RFC 7578) while the body comes, whatever the pieces.
//!
//! The rule: nothing is taken apart. What is wanted is where the field's value stands, so that it can be replaced and
//! every other byte goes on as it came. What is kept is the end of the last piece and the head of one part.

use std::ops::Range;

use memchr::memmem;

/// The head of a part; a name, a file's name and a type are far below it.
const HEAD_BYTES: usize = 16 * 1024;
/// RFC 2046, section 5.1.1.
const BOUNDARY_BYTES: usize = 70;

/// The boundary that a `content-type` names; `None` where it is no form, or names none that a form may have.
pub fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let named = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"'))
    })?;
    let fits =
        !named.is_empty() && named.len() <= BOUNDARY_BYTES && named.bytes().all(|byte| (32..127).contains(&byte));
    fits.then_some(named)
}

/// Whether this is the type of a form, with a good boundary or without.
pub fn is_form(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("multipart/form-data")
}

/// What was found, as offsets in the whole body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// Where the first part's delimiter begins: another part can be put in front of it.
    pub first: usize,
    /// The part of that name, and what it holds.
    pub field: Option<(Range<usize>, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first delimiter, which may be the first thing there is.
    Preamble,
    /// Just behind a delimiter: the end, or a line break and a part.
    Delimiter,
    Head,
    /// In a part: one that is looked for, or another.
    Part {
        wanted: bool,
    },
    Epilogue,
}

/// See the module.
#[derive(Debug)]
pub struct Finder {
    /// CRLF, two dashes, the boundary.
    delimiter: Vec<u8>,
    name: &'static str,
    value_bytes: usize,
    state: State,
    kept: Vec<u8>,
    /// Bytes that were here before those in `kept`.
    at: usize,
    first: Option<usize>,
    value_at: usize,
    value: Vec<u8>,
    field: Option<(Range<usize>, String)>,
    fault: Option<&'static str>,
}

impl Finder {
    /// Looks for the field `name`, whose value may have `value_bytes`.
    pub fn new(boundary: &str, name: &'static str, value_bytes: usize) -> Self {
        Self {
            delimiter: [b"\r\n--", boundary.as_bytes()].concat(),
            name,
            value_bytes,
            state: State::Preamble,
            // The first delimiter needs no line break before it, so one is put before the body.
            kept: b"\r\n".to_vec(),
            at: 0,
            first: None,
            value_at: 0,
            value: Vec::new(),
            field: None,
            fault: None,
        }
    }

    /// Takes the next bytes of the body. An error says what is wrong with the form; every later call says it again.
    pub fn feed(&mut self, piece: &[u8]) -> Result<(), &'static str> {
        if self.state == State::Epilogue {
            return Ok(());
        }
        self.kept.extend_from_slice(piece);
        while self.fault.is_none() && self.step() {}
        self.fault.map_or(Ok(()), Err)
    }

    /// The body is complete.
    pub fn finish(self) -> Result<Form, &'static str> {
        match (self.fault, self.state) {
            (Some(fault), _) => Err(fault),
            (None, State::Epilogue) => Ok(Form { first: self.first.unwrap_or(0), field: self.field }),
            (None, State::Preamble) => Err("the form has no part"),
            (None, _) => Err("the form ends before its end"),
        }
    }

    /// Goes on by one thing found; false when that takes more bytes.
    fn step(&mut self) -> bool {
        match self.state {
            State::Preamble => self.preamble(),
            State::Delimiter => self.behind_delimiter(),
            State::Head => self.head(),
            State::Part { wanted } => self.part(wanted),
            State::Epilogue => {
                self.kept.clear();
                false
            }
        }
    }

    fn preamble(&mut self) -> bool {
        let Some(found) = memmem::find(&self.kept, &self.delimiter) else {
            self.keep_back(self.delimiter.len() - 1);
            return false;
        };
        // Behind its line break; the two bytes before the body make up for that.
        self.first = Some(self.at + found);
        self.drop_front(found + self.delimiter.len());
        self.state = State::Delimiter;
        true
    }

    fn behind_delimiter(&mut self) -> bool {
        // Blanks may follow a delimiter on its line (RFC 2046).
        let blank = self.kept.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let rest = self.kept.get(blank..).unwrap_or_default();
        if blank == 0 && rest.starts_with(b"--") {
            self.state = State::Epilogue;
            return true;
        }
        if rest.starts_with(b"\r\n") {
            // The break stays: a part without a head has its second one at once.
            self.drop_front(blank);
            self.state = State::Head;
            return true;
        }
        if rest.len() >= 2 || blank > HEAD_BYTES {
            self.fault = Some("a delimiter of the form is followed by something else than a line break");
        }
        false
    }

    fn head(&mut self) -> bool {
        let Some(end) = memmem::find(&self.kept, b"\r\n\r\n") else {
            if self.kept.len() > HEAD_BYTES {
                self.fault = Some("the head of a part of the form is too long");
            }
            return false;
        };
        let wanted = names(self.kept.get(..end).unwrap_or_default(), self.name);
        if wanted && self.field.is_some() {
            // Two readers could take it for two different ones.
            self.fault = Some("the form has a field twice");
            return false;
        }
        // The last break stays: an empty part's delimiter begins with it.
        self.drop_front(end + 2);
        // Two bytes on, and two back for those before the body.
        self.value_at = self.at;
        self.value.clear();
        self.state = State::Part { wanted };
        true
    }

    fn part(&mut self, wanted: bool) -> bool {
        let found = memmem::find(&self.kept, &self.delimiter);
        let upto = found.unwrap_or_else(|| self.kept.len().saturating_sub(self.delimiter.len() - 1));
        if wanted {
            self.value.extend_from_slice(self.kept.get(..upto).unwrap_or_default());
            // The head's last break is in front of it.
            if self.value.len() > self.value_bytes + 2 {
                self.fault = Some("a field of the form is too long");
                return false;
            }
        }
        if found.is_none() {
            self.drop_front(upto);
            return false;
        }
        if wanted {
            self.take_value();
        }
        self.drop_front(upto + self.delimiter.len());
        self.state = State::Delimiter;
        true
    }

    fn take_value(&mut self) {
        let value = self.value.get(2..).unwrap_or_default();
        match std::str::from_utf8(value) {
            Ok(text) => self.field = Some((self.value_at..self.value_at + value.len(), text.to_owned())),
            Err(_) => self.fault = Some("a field of the form is not UTF-8"),
        }
    }

    fn drop_front(&mut self, count: usize) {
        self.kept.drain(..count.min(self.kept.len()));
        self.at += count;
    }

    fn keep_back(&mut self, count: usize) {
        self.drop_front(self.kept.len().saturating_sub(count));
    }
}

/// Whether the head of a part says `name="…"` in its disposition.
fn names(head: &[u8], wanted: &str) -> bool {
    let Ok(head) = std::str::from_utf8(head) else { return false };
    let disposition = head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
    });
    parameters(disposition.unwrap_or_default()).any(|parameter| {
        let named = parameter.split_once('=').filter(|(name, _)| name.trim().eq_ignore_ascii_case("name"));
        named.is_some_and(|(_, value)| value.trim().trim_matches('"') == wanted)
    })
}

/// What stands between semicolons, but for those in quotes: names of files hold anything.
fn parameters(disposition: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    disposition.split(move |sign: char| {
        let literal = escaped;
        escaped = quoted && sign == '\\' && !literal;
        quoted ^= sign == '"' && !literal;
        sign == ';' && !quoted
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "--b0\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\
        Content-Type: audio/wav\r\n\r\n\r\n--b\r\nname=\"model\"\r\n\r\n--b0\r\n\
        content-disposition: form-data; name=model\r\n\r\nwhisper-1\r\n--b0\r\n\
        Content-Disposition: form-data; name=\"a\"; filename=\"; name=model; \\\"\"\r\n\r\nother\r\n--b0--\r\n";

    fn found(pieces: &[&[u8]]) -> Result<Form, &'static str> {
        let mut finder = Finder::new("b0", "model", 16);
        for piece in pieces {
            finder.feed(piece)?;
        }
        finder.finish()
    }

    #[test]
    fn any_cut_finds_the_same_field() {
        let at = FORM.find("whisper-1").unwrap();
        let wanted = Form { first: 0, field: Some((at..at + 9, "whisper-1".to_owned())) };
        for cut in 0..=FORM.len() {
            let (head, tail) = FORM.as_bytes().split_at(cut);
            assert_eq!(found(&[head, tail]).unwrap(), wanted, "cut at {cut}");
        }
        let bytes: Vec<_> = FORM.as_bytes().chunks(1).collect();
        assert_eq!(found(&bytes).unwrap(), wanted);
    }

    #[test]
    fn a_form_may_have_a_preamble_an_empty_part_and_no_such_field() {
        let form = "hello\r\n--b0 \t\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n--b0\r\n\r\nx\r\n--b0--";
        assert_eq!(found(&[form.as_bytes()]).unwrap(), Form { first: 7, field: None });
        let empty = "--b0\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n\r\n--b0--";
        let at = empty.len() - 8;
        assert_eq!(found(&[empty.as_bytes()]).unwrap().field, Some((at..at, String::new())));
        assert_eq!(found(&[b"--b0--"]).unwrap(), Form::default());
    }

    #[test]
    fn what_is_no_form_or_breaks_off_is_refused() {
        for bad in ["", "x", "--b0", "--b0\r\n", "--b0\r\na: b\r\n\r\nx", "--b1--", "--b0x\r\n\r\n"] {
            assert!(found(&[bad.as_bytes()]).is_err(), "{bad:?}");
        }
        let twice = FORM.replace("name=\"a\";", "name=\"model\";");
        assert_eq!(found(&[twice.as_bytes()]), Err("the form has a field twice"));
        let value = "x".repeat(17);
        let long = format!("--b0\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n{value}\r\n--b0--");
        assert_eq!(found(&[long.as_bytes()]), Err("a field of the form is too long"));
        let head = format!("--b0\r\n{}", "x".repeat(HEAD_BYTES + 1));
        assert_eq!(found(&[head.as_bytes()]), Err("the head of a part of the form is too long"));
    }

    #[test]
    fn little_is_kept_of_a_long_part() {
        let mut finder = Finder::new("b0", "model", 16);
        finder.feed(b"--b0\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n").unwrap();
        for _ in 0..64 {
            finder.feed(&[b'x'; 4096]).unwrap();
            assert!(finder.kept.len() <= 8, "{} bytes", finder.kept.len());
        }
    }

    #[test]
    fn boundaries_come_quoted_or_bare() {
        assert_eq!(boundary("multipart/form-data; boundary=a-b"), Some("a-b"));
        assert_eq!(boundary("Multipart/Form-Data; charset=utf-8; Boundary=\"a b\""), Some("a b"));
        for none in ["multipart/form-data", "multipart/form-data; boundary=", "text/plain; boundary=a", ""] {
            assert_eq!(boundary(none), None, "{none}");
        }
        assert_eq!(boundary(&format!("multipart/form-data; boundary={}", "a".repeat(71))), None);
        assert!(is_form("multipart/form-data") && !is_form("application/json"));
    }
}
