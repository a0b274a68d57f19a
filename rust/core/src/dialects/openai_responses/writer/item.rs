//! The messages and reasonings of a stream while they are written: what is open, what it has said, how it comes to its end.
//!
//! Items that our own reader announced also end when it says so; those of other dialects end when something else begins.

use super::super::items::MADE;
use super::part::{Part, PartKind};
use super::{DIALECT, Writer};
use crate::dialects::message::{Content, Json, MediaSource};
use crate::dialects::mint;
use crate::dialects::object::{self, Object};
use crate::dialects::output::{self, Buffer, Members};

/// A message or a reasoning.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) index: u64,
    pub(super) id: String,
    is_reasoning: bool,
    /// Our own reader announced it with this head, and will say when it is done.
    head: Option<Json<'static>>,
    pub(super) part: Option<Part>,
    /// Those that are done.
    pub(super) parts: Vec<Buffer>,
    /// The last of `parts` is one that only our own reader knows.
    pub(super) unknown: bool,
    in_content: bool,
    encrypted: Option<String>,
}

impl Writer {
    pub(super) fn take_index(&mut self) -> u64 {
        let index = self.index;
        self.index = index.saturating_add(1);
        index
    }

    /// Opens what our own reader announces. False for what only its server knows, which is repeated as it is.
    pub(super) fn announce(&mut self, index: u64, head: Object<'_, '_>, out: &mut Buffer) -> bool {
        self.begin(out);
        self.close_open(out);
        let is_reasoning = match head.peek("type").and_then(object::text).as_deref() {
            Some("message") => false,
            Some("reasoning") => true,
            Some("function_call" | "custom_tool_call") => {
                self.announced = Some((index, head.into_rest(DIALECT, "item").value.into_owned()));
                return true;
            }
            _ => return false,
        };
        let id = head.peek("id").and_then(object::text).unwrap_or_default().into_owned();
        let list = if is_reasoning { "summary" } else { "content" };
        let said = head.has(list);
        let head = head.into_rest(DIALECT, "item").value.into_owned();
        self.frame("response.output_item.added", out, |event| {
            event.whole("output_index", index);
            event.object("item", |item| {
                fill_all(item, &head, &[]);
                if !said {
                    item.raw(list, "[]");
                }
            });
        });
        self.bytes += head.as_str().len();
        self.open = Some(Item::new(index, id, is_reasoning, Some(head)));
        true
    }

    /// A picture that the model made, which comes in one piece.
    pub(super) fn picture(&mut self, content: &Content<'_>, out: &mut Buffer) {
        let Content::Image { source: MediaSource::Base64 { data, .. }, .. } = content else {
            return;
        };
        if self.told_before == Some(self.sequence) {
            return;
        }
        self.begin(out);
        self.close_open(out);
        let index = self.take_index();
        let id = mint::item_id("ig", &self.id, index);
        let write = |item: &mut Members<'_>, status, result: Option<&str>| {
            item.text("type", MADE);
            item.text("id", &id);
            item.text("status", status);
            match result {
                Some(result) => item.text("result", result),
                None => item.null("result"),
            }
        };
        self.frame("response.output_item.added", out, |event| {
            event.whole("output_index", index);
            event.object("item", |item| write(item, "in_progress", None));
        });
        let mut whole = Buffer::new();
        output::object(&mut whole, |item| write(item, "completed", Some(data)));
        self.item_is_done(index, whole, out);
    }

    pub(super) fn open_item(&mut self, is_reasoning: bool, out: &mut Buffer) {
        self.begin(out);
        let fits = self.open.as_ref().is_some_and(|item| item.is_reasoning == is_reasoning);
        if fits {
            return;
        }
        self.close_open(out);
        let index = self.take_index();
        let id = mint::item_id(if is_reasoning { "rs" } else { "msg" }, &self.id, index);
        self.frame("response.output_item.added", out, |event| {
            event.whole("output_index", index);
            event.object("item", |item| write_item(item, is_reasoning, &id, "in_progress", |_| {}));
        });
        self.open = Some(Item::new(index, id, is_reasoning, None));
    }

    /// Makes sure that a part of this kind is open; `anew` begins another one.
    pub(super) fn part(&mut self, kind: PartKind, anew: bool, out: &mut Buffer) {
        self.open_item(kind.is_reasoning(), out);
        let part = self.open.as_ref().and_then(|item| item.part.as_ref());
        if part.is_some_and(|part| part.kind == kind && !anew) {
            return;
        }
        self.close_part(out);
        let Some(item) = self.open.as_mut() else {
            return;
        };
        let mut part = Part::new(kind);
        part.after_another = kind.is_reasoning() && !item.parts.is_empty();
        let (index, id, number) = (item.index, item.id.clone(), item.parts.len() as u64);
        let mut empty = Buffer::new();
        part.write(&mut empty);
        item.part = Some(part);
        let empty = String::from_utf8(empty).unwrap_or_default();
        let [added, _] = kind.frames();
        self.frame(added, out, |event| {
            event.text("item_id", &id);
            event.whole("output_index", index);
            event.whole(kind.number(), number);
            event.raw("part", &empty);
        });
    }

    pub(super) fn close_part(&mut self, out: &mut Buffer) {
        let waiting =
            self.open.as_mut().and_then(|item| item.part.as_mut()).map(|part| std::mem::take(&mut part.waiting));
        for citation in waiting.into_iter().flatten() {
            self.annotate(&citation, out);
        }
        let Some(item) = self.open.as_mut() else {
            return;
        };
        let (index, id, number) = (item.index, item.id.clone(), item.parts.len() as u64);
        let Some(part) = item.part.take() else {
            return;
        };
        let kind = part.kind;
        let mut whole = Buffer::new();
        part.write(&mut whole);
        item.parts.push(whole.clone());
        item.unknown = false;
        let place = |event: &mut Members<'_>| {
            event.text("item_id", &id);
            event.whole("output_index", index);
            event.whole(kind.number(), number);
        };
        self.frame(kind.done(), out, |event| {
            place(event);
            event.text(if kind == PartKind::Refusal { "refusal" } else { "text" }, &part.text);
            if kind == PartKind::Text {
                event.raw("logprobs", &format!("[{}]", part.logprobs));
            }
        });
        let [_, done] = kind.frames();
        let whole = String::from_utf8(whole).unwrap_or_default();
        self.frame(done, out, |event| {
            place(event);
            event.raw("part", &whole);
        });
    }

    /// Ends the message or reasoning that is open, `tail` being what our own reader says of its end.
    fn close_item(&mut self, tail: Option<Object<'_, '_>>, out: &mut Buffer) {
        self.close_part(out);
        let Some(item) = self.open.take() else {
            return;
        };
        let mut whole = Buffer::new();
        let fill = |members: &mut Members<'_>| item.write_said(members);
        let tail = tail.map(|tail| tail.into_rest(DIALECT, "item").value);
        output::object(&mut whole, |members| match (&tail, &item.head) {
            (Some(tail), _) => {
                fill(members);
                fill_all(members, tail, &[]);
            }
            // Another item began before its server said that this one was done.
            (None, Some(head)) => {
                fill(members);
                if !item.is_reasoning {
                    members.text("status", "completed");
                }
                fill_all(members, head, &["encrypted_content"]);
            }
            (None, None) => write_item(members, item.is_reasoning, &item.id, "completed", fill),
        });
        self.item_is_done(item.index, whole, out);
    }

    pub(super) fn item_is_done(&mut self, index: u64, whole: Buffer, out: &mut Buffer) {
        self.bytes += whole.len();
        let whole = String::from_utf8(whole).unwrap_or_default();
        self.frame("response.output_item.done", out, |event| {
            event.whole("output_index", index);
            event.raw("item", &whole);
        });
        self.done.push((index, whole.into_bytes()));
    }

    pub(super) fn close_open(&mut self, out: &mut Buffer) {
        self.close_item(None, out);
    }

    pub(super) fn close_all(&mut self, out: &mut Buffer) {
        self.begin(out);
        self.close_open(out);
        let open: Vec<_> = self.calls.iter().map(|call| call.number).collect();
        for number in open {
            self.call_end(number, out);
            self.close_call(number, None, out);
        }
    }

    /// The end of an item as our own reader tells it. False for what only its server knows.
    pub(super) fn item_done(&mut self, index: Option<u64>, tail: Object<'_, '_>, out: &mut Buffer) -> bool {
        match tail.peek("type").and_then(object::text).as_deref() {
            Some("message" | "reasoning") => {
                if self.open.as_ref().is_some_and(|item| index.is_none_or(|index| item.index == index)) {
                    self.close_item(Some(tail), out);
                }
            }
            Some("function_call" | "custom_tool_call") => {
                let call = self.calls.iter().find(|call| index.is_none_or(|index| call.index == index));
                if let Some(number) = call.map(|call| call.number) {
                    self.close_call(number, Some(tail), out);
                }
            }
            _ => return self.close_at(index, out),
        }
        true
    }

    /// What is open when the stream fails, for the whole response. Its events are not told to an end that it has not.
    pub(super) fn keep_open(&mut self) {
        let Some(mut item) = self.open.take() else {
            return;
        };
        if let Some(part) = item.part.take() {
            let mut whole = Buffer::new();
            part.write(&mut whole);
            item.parts.push(whole);
        }
        let mut whole = Buffer::new();
        let fill = |members: &mut Members<'_>| item.write_said(members);
        output::object(&mut whole, |members| match &item.head {
            Some(head) => {
                fill(members);
                members.text("status", "incomplete");
                fill_all(members, head, &["encrypted_content"]);
            }
            None => write_item(members, item.is_reasoning, &item.id, "incomplete", fill),
        });
        self.done.push((item.index, whole));
    }

    /// The text of an item of our own begins at once, and another one with its first words.
    pub(super) fn text_start(&mut self, out: &mut Buffer) {
        if self.open.as_ref().is_some_and(|item| item.head.is_some() && !item.is_reasoning) {
            self.part(PartKind::Text, true, out);
        } else {
            self.text_begun = true;
        }
    }

    pub(super) fn text_end(&mut self, out: &mut Buffer) {
        self.text_begun = false;
        // A citation may still come after the text of another dialect.
        if self.open.as_ref().is_some_and(|item| item.head.is_some()) {
            self.close_part(out);
        }
    }

    /// Reasoning goes out as a summary: clients show that, and send it back, while they keep `reasoning_text` to
    /// themselves or drop it.
    pub(super) fn reasoning_start(&mut self, out: &mut Buffer) {
        if self.open.as_ref().is_some_and(|item| item.head.is_none() || !item.parts.is_empty() || item.part.is_some()) {
            self.close_open(out);
        }
        self.open_item(true, out);
        let in_content = std::mem::take(&mut self.in_content);
        if let Some(item) = self.open.as_mut() {
            item.in_content = in_content;
        }
        self.reasoning_part(out);
    }

    pub(super) fn reasoning_part(&mut self, out: &mut Buffer) {
        let in_content = self.open.as_ref().is_some_and(|item| item.is_reasoning && item.in_content);
        self.part(if in_content { PartKind::Content } else { PartKind::Summary }, false, out);
    }

    pub(super) fn next_part(&mut self, out: &mut Buffer) {
        if self.open.as_ref().is_some_and(|item| item.is_reasoning) {
            self.close_part(out);
            self.reasoning_part(out);
        }
    }

    pub(super) fn reasoning_end(&mut self, out: &mut Buffer) {
        match &self.open {
            Some(item) if item.is_reasoning && item.head.is_some() => self.close_part(out),
            Some(item) if item.is_reasoning => self.close_open(out),
            _ => {}
        }
    }

    /// A proof of the reasoning that is open, or, `alone`, reasoning that is hidden.
    pub(super) fn encrypted(&mut self, data: &str, alone: bool, out: &mut Buffer) {
        self.bytes += data.len();
        let opened = match &self.open {
            Some(item) => !item.is_reasoning || (alone && item.head.is_none()),
            None => true,
        };
        if opened {
            self.close_open(out);
            self.open_item(true, out);
        }
        if let Some(item) = self.open.as_mut() {
            item.encrypted = Some(data.to_owned());
        }
        if opened {
            self.close_open(out);
        }
    }
}

impl Item {
    fn new(index: u64, id: String, is_reasoning: bool, head: Option<Json<'static>>) -> Self {
        Self {
            index,
            id,
            is_reasoning,
            head,
            part: None,
            parts: Vec::new(),
            unknown: false,
            in_content: false,
            encrypted: None,
        }
    }

    fn write_said(&self, item: &mut Members<'_>) {
        let parts =
            |item: &mut Members<'_>, name| item.list(name, &self.parts, |out, part| out.extend_from_slice(part));
        match (self.is_reasoning, self.in_content) {
            (false, _) => parts(item, "content"),
            (true, false) => parts(item, "summary"),
            (true, true) => {
                item.raw("summary", "[]");
                parts(item, "content");
            }
        }
        item.text_if("encrypted_content", self.encrypted.as_deref());
    }
}

fn write_item(item: &mut Members<'_>, is_reasoning: bool, id: &str, status: &str, fill: impl FnOnce(&mut Members<'_>)) {
    item.text("type", if is_reasoning { "reasoning" } else { "message" });
    item.text("id", id);
    if !is_reasoning {
        item.text("status", status);
        item.text("role", "assistant");
    }
    fill(item);
    let list = if is_reasoning { "summary" } else { "content" };
    if !item.has(list) {
        item.raw(list, "[]");
    }
}

/// Writes the members of an object that our own reader left for us, where nothing else stands under their names.
pub(super) fn fill_all(item: &mut Members<'_>, members: &Json<'_>, but: &[&str]) {
    let raw = members.as_raw();
    for (name, value) in raw.and_then(Object::lenient).iter().flat_map(Object::members) {
        if !but.contains(&name) {
            item.fill(name, value.get());
        }
    }
}
