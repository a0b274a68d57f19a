//! The edits a gateway makes to a body it forwards: replace, rename, insert, drop, and ask for usage.
//!
//! They only name spans; [`super::splice`] makes the new body. The surprise is dropping: which comma goes along depends
//! on the neighbours that go too, so members are dropped together, never one by one.

use bytes::Bytes;

use super::field::Field;
use super::scan::{Member, Scan};
use super::splice::{Edit, quote};

impl Scan {
    /// Gives a field another value, written as JSON; none when the body does not have the field.
    pub fn replace(&self, field: Field, value: Bytes) -> Option<Edit> {
        Some(Edit { at: self.span(field)?, with: value })
    }

    /// Adds members at the front of the body, values written as JSON. One edit for all of them, because the comma after
    /// the last depends on whether the body has members; not to be combined with dropping every member there is.
    pub fn insert(&self, members: &[(&str, Bytes)]) -> Edit {
        let mut with = Vec::new();
        for (nth, (name, value)) in members.iter().enumerate() {
            if nth > 0 {
                with.push(b',');
            }
            with.extend_from_slice(&quote(name));
            with.push(b':');
            with.extend_from_slice(value);
        }
        if !self.empty && !members.is_empty() {
            with.push(b',');
        }
        Edit { at: self.inside..self.inside, with: Bytes::from(with) }
    }

    /// Removes top-level members, each with the comma that would be left over. Takes members of this scan.
    pub fn drop_members(&self, members: &[&Member]) -> Vec<Edit> {
        let mut dropped: Vec<&Member> = members.to_vec();
        dropped.sort_by_key(|member| member.before);
        dropped.dedup_by_key(|member| member.before);
        let mut edits = Vec::with_capacity(dropped.len());
        // From the back: a run of members up to the closing brace loses the comma in front of it, all others the one behind.
        let mut run_start = self.close;
        for member in dropped.iter().rev() {
            let reaches_the_end = member.after == self.close || member.after + 1 == run_start;
            if reaches_the_end && edits.is_empty() {
                run_start = member.before;
            } else {
                edits.push(remove(member.before, member.after + 1));
            }
        }
        if run_start < self.close {
            let comma = u32::from(run_start as usize > self.inside);
            edits.push(remove(run_start - comma, self.close));
        }
        edits
    }

    /// Makes a streamed chat completion report its usage; none when the client already asked for that.
    pub fn ask_for_usage(&self) -> Option<Edit> {
        const ASK: &[u8] = b"{\"include_usage\":true}";
        if self.include_usage == Some(true) {
            return None;
        }
        if let Some(at) = self.span(Field::IncludeUsage) {
            return Some(Edit { at, with: Bytes::from_static(b"true") });
        }
        let Some(options) = self.span(Field::StreamOptions) else {
            return Some(self.insert(&[("stream_options", Bytes::from_static(ASK))]));
        };
        let inside = options.start + 1;
        Some(match self.options_empty {
            None => Edit { at: options, with: Bytes::from_static(ASK) },
            Some(true) => Edit { at: inside..inside, with: Bytes::from_static(b"\"include_usage\":true") },
            Some(false) => Edit { at: inside..inside, with: Bytes::from_static(b"\"include_usage\":true,") },
        })
    }
}

impl Member {
    /// Gives the member another name.
    pub fn rename(&self, name: &str) -> Edit {
        Edit { at: self.name(), with: quote(name) }
    }
}

fn remove(start: u32, end: u32) -> Edit {
    Edit { at: start as usize..end as usize, with: Bytes::new() }
}
