//! Parts of a message that only our own reader knows, which count among the others, whose numbers are ours; and ends that
//! do not say of what.

use super::Writer;
use crate::dialects::message::Json;
use crate::dialects::output::Buffer;

impl Writer {
    pub(super) fn part_added(&mut self, raw: &Json<'_>, out: &mut Buffer) {
        self.open_item(false, out);
        self.close_part(out);
        self.bytes += raw.as_str().len();
        if let Some(item) = self.open.as_mut() {
            item.parts.push(raw.as_str().as_bytes().to_vec());
            item.unknown = true;
        }
        self.tell_unknown("response.content_part.added", raw, out);
    }

    /// As it ended, if it is still the last.
    pub(super) fn part_done(&mut self, raw: &Json<'_>, out: &mut Buffer) {
        let open = self.open.as_mut().filter(|item| item.unknown && item.part.is_none());
        let Some(last) = open.and_then(|item| item.parts.last_mut()) else {
            return;
        };
        self.bytes += raw.as_str().len();
        *last = raw.as_str().as_bytes().to_vec();
        self.tell_unknown("response.content_part.done", raw, out);
    }

    fn tell_unknown(&mut self, name: &str, raw: &Json<'_>, out: &mut Buffer) {
        let Some(item) = self.open.as_ref() else {
            return;
        };
        let (index, id, number) = (item.index, item.id.clone(), item.parts.len().saturating_sub(1) as u64);
        self.frame(name, out, |event| {
            event.text("item_id", &id);
            event.whole("output_index", index);
            event.whole("content_index", number);
            event.raw("part", raw.as_str());
        });
    }

    /// Ends what is open at a place whose end does not say what it is the end of. False where nothing is.
    pub(super) fn close_at(&mut self, index: Option<u64>, out: &mut Buffer) -> bool {
        let Some(index) = index else {
            return false;
        };
        let call = self.calls.iter().find(|call| call.index == index).map(|call| call.number);
        if self.open.as_ref().is_some_and(|item| item.index == index) {
            self.close_open(out);
        } else if let Some(number) = call {
            self.close_call(number, None, out);
        } else {
            return false;
        }
        true
    }
}
