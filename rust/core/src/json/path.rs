//! Where in the document the scanner is, kept cheaply enough to be there for every error and drawn only for one.
//!
//! A level holds an array index, or where its member name stands in the frame at hand. Only when a frame ends inside a
//! value are the names of the open levels copied out.

use std::fmt::Write;

/// Levels a pointer can name: enough for `/messages/3/content/0/image_url/url`.
pub(super) const LEVELS: usize = 6;
/// Bytes of a member name that are kept for an error.
pub(super) const NAME_BYTES: usize = 64;

#[derive(Clone, Copy, Debug, Default)]
enum Step {
    #[default]
    None,
    Item(u32),
    /// A member whose name is at these offsets of the body, in the frame at hand.
    Here(u32, u32),
    /// A member whose name was copied out.
    Held,
}

#[derive(Debug, Default)]
pub(super) struct Path {
    steps: [Step; LEVELS],
    held: [Vec<u8>; LEVELS],
}

impl Path {
    fn set(&mut self, depth: u32, step: Step) {
        if let Some(slot) = self.steps.get_mut((depth as usize).wrapping_sub(1)) {
            *slot = step;
        }
    }

    /// An object was opened at this depth (1 is the body), or a comma asks for its next member.
    #[inline]
    pub(super) fn between_members(&mut self, depth: u32) {
        self.set(depth, Step::None);
    }

    #[inline]
    pub(super) fn first_item(&mut self, depth: u32) {
        self.set(depth, Step::Item(0));
    }

    #[inline]
    pub(super) fn next_item(&mut self, depth: u32) {
        if let Some(Step::Item(index)) = self.steps.get_mut((depth as usize).wrapping_sub(1)) {
            *index += 1;
        }
    }

    /// The member name at these offsets of the body, quotes excluded; the frame at hand holds all of it.
    #[inline]
    pub(super) fn member_here(&mut self, depth: u32, start: u32, end: u32) {
        self.set(depth, Step::Here(start, end));
    }

    /// A member name that was cut or holds escapes, unescaped.
    pub(super) fn member_held(&mut self, depth: u32, name: &[u8]) {
        if let Some(held) = self.held.get_mut((depth as usize).wrapping_sub(1)) {
            keep(held, name);
            self.set(depth, Step::Held);
        }
    }

    /// The frame, which starts at `base` in the body, goes away.
    pub(super) fn hold(&mut self, depth: u32, frame: &[u8], base: usize) {
        for (step, held) in self.steps.iter_mut().zip(&mut self.held).take(depth as usize) {
            if let Step::Here(start, end) = *step {
                keep(held, name_in(frame, base, start, end));
                *step = Step::Held;
            }
        }
    }

    /// The RFC 6901 pointer of the open levels.
    pub(super) fn pointer(&self, depth: u32, frame: &[u8], base: usize) -> String {
        let mut pointer = String::new();
        for (step, held) in self.steps.iter().zip(&self.held).take(depth as usize) {
            match *step {
                Step::None => break,
                Step::Item(index) => {
                    // Writing to a string cannot fail.
                    let _ = write!(pointer, "/{index}");
                }
                Step::Here(start, end) => push_name(&mut pointer, name_in(frame, base, start, end)),
                Step::Held => push_name(&mut pointer, held),
            }
        }
        pointer
    }
}

fn name_in(frame: &[u8], base: usize, start: u32, end: u32) -> &[u8] {
    let (start, end) = ((start as usize).saturating_sub(base), (end as usize).saturating_sub(base));
    frame.get(start..end).unwrap_or_default()
}

fn keep(held: &mut Vec<u8>, name: &[u8]) {
    held.clear();
    held.extend_from_slice(name.get(..NAME_BYTES).unwrap_or(name));
}

fn push_name(pointer: &mut String, name: &[u8]) {
    let name = name.get(..NAME_BYTES).unwrap_or(name);
    // The cut may have split a character; what is left of it is dropped.
    let name = name.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    pointer.push('/');
    for character in name.chars() {
        match character {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            c if c.is_control() => pointer.push(char::REPLACEMENT_CHARACTER),
            c => pointer.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{NAME_BYTES, Path};

    #[test]
    fn names_are_escaped_shortened_and_free_of_control_characters() {
        let mut path = Path::default();
        path.member_held(1, "a/b~c\n".as_bytes());
        path.member_held(2, "é".repeat(NAME_BYTES).as_bytes());
        path.first_item(3);
        path.next_item(3);
        assert_eq!(path.pointer(3, b"", 0), format!("/a~1b~0c\u{fffd}/{}/1", "é".repeat(NAME_BYTES / 2)));
        path.member_held(2, format!("a{}", "é".repeat(NAME_BYTES)).as_bytes());
        assert_eq!(path.pointer(2, b"", 0), format!("/a~1b~0c\u{fffd}/a{}", "é".repeat(NAME_BYTES / 2 - 1)));
    }

    #[test]
    fn a_name_outlives_its_frame() {
        let mut path = Path::default();
        path.member_here(1, 12, 17);
        path.first_item(2);
        path.hold(2, b"{\"model\":[", 10);
        assert_eq!(path.pointer(2, b"", 20), "/model/0");
    }
}
