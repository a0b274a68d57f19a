//! The calls of a stream while they are written. Several may be open beside each other.

use super::super::items::{input_of, type_of};
use super::item::fill_all;
use super::{DIALECT, Writer, frame};
use crate::dialects::message::{CallKind, Json, Text};
use crate::dialects::mint;
use crate::dialects::object::{self, Object};
use crate::dialects::output::{self, Buffer, Members};

#[derive(Debug)]
pub(super) struct Call {
    pub(super) number: u32,
    kind: CallKind,
    item_id: String,
    id: String,
    name: String,
    namespace: Option<Box<Json<'static>>>,
    arguments: String,
    pub(super) index: u64,
    ours: bool,
    ended: bool,
}

impl Call {
    pub(super) fn new(number: u32, kind: CallKind, id: &str, name: &str) -> Self {
        Self {
            number,
            kind,
            item_id: String::new(),
            id: id.to_owned(),
            name: name.to_owned(),
            namespace: None,
            arguments: String::new(),
            index: 0,
            ours: false,
            ended: false,
        }
    }

    fn write(&self, item: &mut Members<'_>, arguments: &str) {
        item.text("call_id", &self.id);
        item.text("name", &self.name);
        item.json_if("namespace", self.namespace.as_deref());
        item.text(input_of(self.kind), arguments);
    }
}

impl Writer {
    pub(super) fn call_start(&mut self, mut call: Call, out: &mut Buffer) {
        self.begin(out);
        self.close_open(out);
        call.namespace = self.namespace.take();
        let announced = self.announced.take();
        let head = announced.as_ref().map(|(_, head)| head);
        call.ours = head.is_some();
        call.index = match &announced {
            Some((index, _)) => *index,
            None => self.take_index(),
        };
        if call.id.is_empty() {
            // The first generation of calls had no ids.
            call.id = mint::call_id(&self.id, 0, call.number);
        }
        let raw = head.and_then(Json::as_raw);
        let id = raw.and_then(Object::lenient).and_then(|mut head| head.take_if("id", object::text));
        let prefix = if call.kind == CallKind::Custom { "ctc" } else { "fc" };
        call.item_id = id.map_or_else(|| mint::item_id(prefix, &self.id, call.index), Text::into_owned);
        self.bytes += size_of::<Call>() + call.id.len() + call.name.len();
        self.frame("response.output_item.added", out, |event| {
            event.whole("output_index", call.index);
            event.object("item", |item| {
                match head {
                    Some(head) => fill_all(item, head, &[]),
                    None => write_call_head(item, &call, "in_progress"),
                }
                call.write(item, "");
            });
        });
        self.calls.push(call);
    }

    pub(super) fn call_delta(&mut self, number: u32, arguments: &str, out: &mut Buffer) {
        self.bytes += arguments.len();
        let Some(call) = self.calls.iter_mut().find(|call| call.number == number) else {
            return;
        };
        call.arguments.push_str(arguments);
        let name = match call.kind {
            CallKind::Custom => "response.custom_tool_call_input.delta",
            _ => "response.function_call_arguments.delta",
        };
        frame(&mut self.sequence, name, out, |event| {
            event.text("item_id", &call.item_id);
            event.whole("output_index", call.index);
            event.text("delta", arguments);
        });
    }

    pub(super) fn call_end(&mut self, number: u32, out: &mut Buffer) {
        let Some(call) = self.calls.iter_mut().find(|call| call.number == number && !call.ended) else {
            return;
        };
        call.ended = true;
        let name = match call.kind {
            CallKind::Custom => "response.custom_tool_call_input.done",
            _ => "response.function_call_arguments.done",
        };
        frame(&mut self.sequence, name, out, |event| {
            event.text("item_id", &call.item_id);
            event.whole("output_index", call.index);
            if call.kind != CallKind::Custom {
                event.text("name", &call.name);
            }
            event.text(input_of(call.kind), &call.arguments);
        });
        if !call.ours {
            self.close_call(number, None, out);
        }
    }

    pub(super) fn close_call(&mut self, number: u32, tail: Option<Object<'_, '_>>, out: &mut Buffer) {
        let Some(position) = self.calls.iter().position(|call| call.number == number) else {
            return;
        };
        let call = self.calls.remove(position);
        let tail = tail.map(|tail| tail.into_rest(DIALECT, "item").value);
        let mut whole = Buffer::new();
        output::object(&mut whole, |item| {
            if tail.is_none() {
                write_call_head(item, &call, "completed");
            }
            call.write(item, &call.arguments);
            if let Some(tail) = &tail {
                fill_all(item, tail, &[]);
            }
        });
        self.item_is_done(call.index, whole, out);
    }
}

fn write_call_head(item: &mut Members<'_>, call: &Call, status: &str) {
    item.text("type", type_of(call.kind));
    item.text("id", &call.item_id);
    item.text("status", status);
}
