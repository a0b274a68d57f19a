//! Free text tools, held to a grammar instead of a schema: elsewhere they are functions of one text, `{"input": …}`.
//!
//! The surprise: on the way back the text inside is told as it comes, so it is taken out of JSON that is not whole yet.

use std::collections::HashSet;

use super::demands::Losses;
use crate::dialects::message::{CallKind, ChatRequest, Content, Json, Text, Tool, ToolChoiceMode};
use crate::dialects::object::{self, Object};
use crate::dialects::output;

const INPUT: &str = "input";
const SCHEMA: &str =
    r#"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}"#;

/// Makes functions of them, in definitions, history and choice. Gives the names of those that were declared.
pub(super) fn wrap(request: &mut ChatRequest<'_>, losses: &mut Losses) -> HashSet<String> {
    let mut wrapped = HashSet::new();
    for (at, tool) in request.tools.iter_mut().enumerate() {
        let Tool::Callable(callable) = tool else { continue };
        if callable.kind != CallKind::Custom {
            continue;
        }
        wrapped.insert(callable.name.to_string());
        callable.kind = CallKind::Function;
        let format = callable.parameters.replace(Json::parse(SCHEMA).unwrap_or(Json::null()));
        if let Some(grammar) = format.as_ref().and_then(definition) {
            losses.note(&format!("{}.format", callable.place(at)));
            let description = callable.description.take().unwrap_or_default();
            let described = format!("{description}\n\nThe input follows this grammar:\n{grammar}");
            callable.description = Some(Text::Owned(described.trim_start().to_owned()));
        }
    }
    for block in request.turns.iter_mut().flat_map(|turn| &mut turn.blocks) {
        match &mut block.content {
            Content::ToolCall(call) if call.kind == CallKind::Custom => {
                call.kind = CallKind::Function;
                let mut out = Vec::new();
                output::object(&mut out, |members| members.text(INPUT, &call.arguments));
                call.arguments = Text::Owned(String::from_utf8(out).unwrap_or_default());
            }
            Content::ToolResult(result) if result.kind == CallKind::Custom => result.kind = CallKind::Function,
            _ => {}
        }
    }
    if let Some(choice) = &mut request.tool_choice {
        if choice.kind == CallKind::Custom {
            choice.kind = CallKind::Function;
        }
        if let ToolChoiceMode::Allowed { tools, .. } = &mut choice.mode {
            tools.iter_mut().filter(|(kind, _)| *kind == CallKind::Custom).for_each(|(kind, _)| {
                *kind = CallKind::Function;
            });
        }
    }
    wrapped
}

/// The text of a grammar.
fn definition(format: &Json<'_>) -> Option<String> {
    let raw = format.as_raw()?;
    let mut format = Object::lenient(raw)?;
    let mut grammar = format.take_if("grammar", Object::lenient)?;
    grammar.take_if("definition", object::text).map(Text::into_owned)
}

/// The text inside the arguments of a call; as they are, where they are not what was asked for.
pub(super) fn unwrap(arguments: &str) -> Text<'_> {
    let text = || {
        let json = Json::parse(arguments)?;
        let raw = json.as_raw()?;
        let mut object = Object::lenient(raw)?;
        if object.is_empty() {
            return Some(String::new());
        }
        object.take_if(INPUT, object::text).map(Text::into_owned)
    };
    text().map_or(Text::Borrowed(arguments), Text::Owned)
}

/// Takes the text out of the pieces of a call's arguments. Holds no more than what it cannot tell yet.
#[derive(Debug, Default)]
pub(super) struct Unwrap {
    state: State,
    /// What was read before the text began, or of an escape that is not whole.
    held: String,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    /// Before the text.
    #[default]
    Head,
    Inside,
    /// In an escape.
    Escape,
    /// Behind the text.
    Over,
    /// It is not what was asked for, and is told as it is.
    Raw,
}

impl Unwrap {
    pub(super) fn add(&mut self, piece: &str) -> String {
        let mut out = String::with_capacity(piece.len());
        for letter in piece.chars() {
            match self.state {
                State::Head => {
                    self.held.push(letter);
                    match head(&self.held) {
                        Head::More => {}
                        Head::Whole => {
                            self.held.clear();
                            self.state = State::Inside;
                        }
                        // A call with nothing in it.
                        Head::Other if is_empty(&self.held) => {
                            self.held.clear();
                            self.state = State::Over;
                        }
                        Head::Other => {
                            out.push_str(&std::mem::take(&mut self.held));
                            self.state = State::Raw;
                        }
                    }
                }
                State::Inside => match letter {
                    '"' => self.state = State::Over,
                    '\\' => {
                        self.held.push('\\');
                        self.state = State::Escape;
                    }
                    letter => out.push(letter),
                },
                State::Escape => {
                    self.held.push(letter);
                    if let Some(text) = escaped(&self.held) {
                        out.push_str(&text);
                        self.held.clear();
                        self.state = State::Inside;
                    }
                }
                State::Over => {}
                State::Raw => out.push(letter),
            }
        }
        out
    }

    /// What is left when nothing more comes.
    pub(super) fn end(&mut self) -> String {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Head => std::mem::take(&mut self.held),
            _ => String::new(),
        }
    }
}

fn is_empty(text: &str) -> bool {
    let inner = text.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    inner.is_some_and(|inner| inner.trim().is_empty())
}

enum Head {
    More,
    Whole,
    Other,
}

/// How far `text` is on the way to `{"input":"`, with blanks anywhere between tokens.
fn head(text: &str) -> Head {
    let mut rest = text.trim_start();
    for token in ["{", "\"input\"", ":", "\""] {
        if rest.len() < token.len() {
            return if token.starts_with(rest) { Head::More } else { Head::Other };
        }
        match rest.strip_prefix(token) {
            Some(behind) => rest = if token == "\"" { behind } else { behind.trim_start() },
            None => return Head::Other,
        }
    }
    Head::Whole
}

/// What an escape says, once it is whole; a character beyond the first plane is two of them.
fn escaped(escape: &str) -> Option<String> {
    let mut letters = escape.chars().skip(1);
    let first = letters.next()?;
    if first != 'u' {
        let text = match first {
            'n' => "\n",
            't' => "\t",
            'r' => "\r",
            'b' => "\u{8}",
            'f' => "\u{c}",
            other => return Some(other.to_string()),
        };
        return Some(text.to_owned());
    }
    if escape.len() < 6 {
        return None;
    }
    let unit = |from: usize| escape.get(from..from + 4).and_then(|hex| u16::from_str_radix(hex, 16).ok());
    let Some(high) = unit(2) else {
        return Some(escape.to_owned());
    };
    if !(0xd800..0xdc00).contains(&high) {
        return Some(String::from_utf16_lossy(&[high]));
    }
    let behind = escape.get(6..).unwrap_or_default();
    let pair = "\\u".starts_with(behind.get(..behind.len().min(2)).unwrap_or_default());
    match (pair, behind.len()) {
        (true, 0..6) => None,
        (true, _) => Some(String::from_utf16_lossy(&[high, unit(8).unwrap_or(0xfffd)])),
        // A half without its other half: what came instead of it is itself.
        (false, _) => Some(format!("\u{fffd}{behind}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn streamed(text: &str, size: usize) -> String {
        let mut unwrap = Unwrap::default();
        let letters: Vec<char> = text.chars().collect();
        let mut out: String = letters.chunks(size).map(|piece| unwrap.add(&piece.iter().collect::<String>())).collect();
        out += &unwrap.end();
        out
    }

    #[test]
    fn the_text_is_the_same_however_it_is_cut_and_as_the_whole_says_it() {
        let texts = ["", "*** Begin\n\"a\\b\"\t\u{1f600}é", "\u{8}\u{c}\r/", "ends with \\"];
        for text in texts {
            let plain = serde_json::json!({ "input": text }).to_string();
            let ascii = plain.replace('\u{1f600}', "\\ud83d\\ude00").replace('é', "\\u00e9").replace(':', " : ");
            for arguments in [plain, ascii] {
                assert_eq!(unwrap(&arguments), text);
                for size in 1..8 {
                    assert_eq!(streamed(&arguments, size), text, "{arguments} by {size}");
                }
            }
        }
    }

    #[test]
    fn what_was_not_asked_for_is_told_as_it_is() {
        for other in [r#"{"patch":"x"}"#, "plain text", r#"{"input":7}"#, r#"{"inp"#] {
            assert_eq!(unwrap(other), other);
            assert_eq!(streamed(other, 1), other);
            assert_eq!(streamed(other, 100), other);
        }
        assert_eq!((streamed("{ }", 1), unwrap("{ }").as_ref()), (String::new(), ""));
    }
}
