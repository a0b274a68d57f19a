//! How a stream ends: with the whole response once more, or with an error and what was said until then.

use super::super::reader::OUTPUT;
use super::super::reply::State;
use super::{DIALECT, Writer};
use crate::dialects::message::{ErrorReply, Json};
use crate::dialects::object::Object;
use crate::dialects::output::{self, Buffer, Members};

impl Writer {
    pub(super) fn end(&mut self, out: &mut Buffer) {
        self.ended = true;
        let Some(finish) = self.finish.take() else {
            return;
        };
        let ours = finish.extras.of(DIALECT).next().is_some();
        let extras = if ours { &finish.extras } else { &self.extras };
        let left_empty = finish.extras.marked(DIALECT, OUTPUT).is_some();
        let state = State::Ended(Some(&finish));
        let name = state.event();
        let response = self.response(&state, extras, |out| self.write_done(out, left_empty));
        let beside = self.beside.take();
        self.frame(name, out, |event| {
            event.raw("response", &response);
            let beside = beside.as_deref().and_then(Json::as_raw);
            for (name, value) in beside.and_then(Object::lenient).iter().flat_map(Object::members) {
                event.fill(name, value.get());
            }
        });
    }

    fn write_done(&self, out: &mut Buffer, left_empty: bool) {
        let mut done: Vec<_> = self.done.iter().filter(|_| !left_empty).collect();
        done.sort_by_key(|(index, _)| *index);
        output::list(out, done, |out, (_, item)| out.extend_from_slice(item));
    }

    /// Nothing follows an error. What was said until then is told with it; a call that was not made to its end is not.
    pub(super) fn fail(&mut self, error: &ErrorReply<'_>, out: &mut Buffer) {
        if let Some(form) = error.extras.marked(DIALECT, "error") {
            let flat = form.as_str() == "\"flat\"";
            self.frame("error", out, |event| {
                if flat {
                    write_error(event, error);
                } else {
                    event.object("error", |object| {
                        object.text_if("type", error.kind.as_deref());
                        write_error(object, error);
                    });
                }
            });
        } else {
            self.begin(out);
            let ours = error.extras.of(DIALECT).next().is_some();
            if !ours {
                self.keep_open();
            }
            let extras = if ours { &error.extras } else { &self.extras };
            let response = self.response(&State::Failed(error), extras, |out| self.write_done(out, false));
            self.frame("response.failed", out, |event| event.raw("response", &response));
        }
        self.ended = true;
    }
}

fn write_error(object: &mut Members<'_>, error: &ErrorReply<'_>) {
    match error.code.as_deref() {
        Some(code) => object.text("code", code),
        None => object.null("code"),
    }
    object.text("message", &error.message);
    match error.param.as_deref() {
        Some(param) => object.text("param", param),
        None => object.null("param"),
    }
    object.extras(DIALECT, &error.extras);
}
