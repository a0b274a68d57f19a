//! What servers say whole behind its pieces, up to three times: a part, an item, the response. What is missing is told.
//!
//! Its rule: the whole is what counts, and nothing is told twice. Where something else was told already, the whole is named
//! as not told: what went out cannot be taken back.

use crate::dialects::raw::RawValue;

use super::super::items;
use super::item::{Kind, Open};
use super::told::{Told, cut};
use super::{PART_ADDED, Reader, as_choice, calls, untold, untold_part};
use crate::dialects::message::{Block, Citation, Content, Event, Events, Json, Text};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::openai_responses::{DIALECT, parts};
use crate::dialects::{DialectError, Place};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PartKind {
    Text,
    Refusal,
    Summary,
    /// The reasoning itself.
    Content,
}

impl PartKind {
    pub(super) fn of(kind: &str) -> Option<Self> {
        Some(match kind {
            "output_text" => Self::Text,
            "refusal" => Self::Refusal,
            "summary_text" => Self::Summary,
            "reasoning_text" => Self::Content,
            _ => return None,
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Text => "output_text",
            Self::Refusal => "refusal",
            Self::Summary => "summary_text",
            Self::Content => "reasoning_text",
        }
    }

    /// Which of the two kinds of text that an item holds.
    pub(super) const fn slot(self) -> usize {
        match self {
            Self::Text | Self::Summary => 0,
            Self::Refusal | Self::Content => 1,
        }
    }

    pub(super) const fn kind(self) -> Kind {
        match self {
            Self::Text | Self::Refusal => Kind::Message,
            Self::Summary | Self::Content => Kind::Reasoning,
        }
    }

    pub(super) const fn open(self) -> Open {
        match self {
            Self::Text => Open::Text,
            Self::Refusal => Open::Nothing,
            Self::Summary => Open::Summary,
            Self::Content => Open::Content,
        }
    }
}

/// The part of an item that was told last.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) kind: Option<PartKind>,
    /// The server's own, where it gave one.
    pub(super) number: Option<u64>,
    pub(super) told: Told,
    pub(super) cited: usize,
    /// It was said whole: what comes in pieces is another one.
    pub(super) over: bool,
}

impl Part {
    pub(super) fn new(kind: PartKind, number: Option<u64>) -> Self {
        Self { kind: Some(kind), number, ..Self::default() }
    }
}

/// A part as it is said at its end.
pub(super) struct Whole<'a> {
    pub(super) kind: PartKind,
    pub(super) text: Text<'a>,
    pub(super) logprobs: Option<Json<'a>>,
    pub(super) citations: Vec<Citation<'a>>,
}

impl<'a> Whole<'a> {
    pub(super) fn new(kind: PartKind, text: Text<'a>) -> Self {
        Self { kind, text, logprobs: None, citations: Vec::new() }
    }

    /// `None` for a part of another kind.
    pub(super) fn of(raw: &'a RawValue) -> Option<Self> {
        let mut part = Object::lenient(raw)?;
        let kind = PartKind::of(&part.peek("type").and_then(object::text)?)?;
        if kind.kind() == Kind::Reasoning {
            return part.take_if("text", object::text).map(|text| Self::new(kind, text));
        }
        Self::of_block(parts::parse(raw, Place::Document, Mode::Lenient, parts::OUTPUT_TEXT).ok()?)
    }

    fn of_block(block: Block<'a>) -> Option<Self> {
        match block.content {
            Content::Text { text, citations } => {
                let list = block.extras.get(DIALECT, "logprobs").and_then(Json::as_raw);
                let list = list.and_then(object::list).filter(|list| !list.is_empty());
                let logprobs = list.map(as_choice);
                Some(Self { logprobs, citations, ..Self::new(PartKind::Text, text) })
            }
            Content::Refusal { text, .. } => Some(Self::new(PartKind::Refusal, text)),
            _ => None,
        }
    }
}

/// One of the parts of an item.
enum Piece<'a> {
    Whole(Whole<'a>),
    Other(Event<'a>),
}

fn of_message(raw: &RawValue) -> Vec<Piece<'_>> {
    let blocks = items::parse(raw, Place::Document, Mode::Lenient).unwrap_or_default();
    let pieces = blocks.into_iter().filter_map(|block| match block.content {
        Content::Opaque { raw, .. } => {
            let is_part = block.extras.marked(DIALECT, parts::PART).is_some();
            let event = Event::Opaque { dialect: DIALECT, name: PART_ADDED.into(), raw };
            is_part.then_some(Piece::Other(event))
        }
        content if content.media().is_some() => Some(Piece::Other(Event::Media { choice: 0, content })),
        content => Whole::of_block(Block { content, ..block }).map(Piece::Whole),
    });
    pieces.collect()
}

fn of_reasoning(raw: &RawValue) -> Vec<Piece<'_>> {
    let item = Object::lenient(raw);
    let list = |name| item.as_ref().and_then(|item| item.peek(name)).and_then(object::list).unwrap_or_default();
    let pieces =
        [("summary", PartKind::Summary), ("content", PartKind::Content)].into_iter().flat_map(|(name, kind)| {
            list(name).into_iter().map(move |raw| {
                let text = Object::lenient(raw).and_then(|mut part| part.take_if("text", object::text));
                text.map_or_else(|| Piece::Other(untold_part(raw)), |text| Piece::Whole(Whole::new(kind, text)))
            })
        });
    pieces.collect()
}

impl Reader {
    /// The end of a part. One behind which another one has begun is for the end of the item.
    pub(super) fn whole_part<'a>(&mut self, whole: Whole<'a>, number: Option<u64>, events: &mut Events<'a>) {
        let kind = whole.kind;
        let Some(item) = self.items.get(self.current).filter(|item| item.kind == kind.kind()) else {
            return;
        };
        let part = &item.part;
        let behind = part.number.zip(number).map(|(last, this)| this.cmp(&last));
        let anew = match part.kind {
            Some(last) if last != kind && !item.told(kind.slot()).is_empty() => return,
            Some(last) => last != kind || behind.is_some_and(std::cmp::Ordering::is_gt),
            None => true,
        };
        if !anew && behind.is_some_and(std::cmp::Ordering::is_lt) {
            return;
        }
        if anew {
            self.begin_part(kind, number, events);
        }
        let Some(item) = self.items.get_mut(self.current) else {
            return;
        };
        let (told, cited) = (item.part.told, item.part.cited);
        let was_over = std::mem::replace(&mut item.part.over, true);
        match told.rest_of(&whole.text) {
            Some(rest) if !rest.is_empty() && !told.is_empty() && self.spoke_behind(kind) => {
                events.push(untold(kind.name()));
            }
            Some(rest) => self.say(kind, rest, whole.logprobs.filter(|_| told.is_empty()), events),
            None if whole.text.is_empty() || was_over => {}
            None => events.push(untold(kind.name())),
        }
        for citation in whole.citations.into_iter().skip(cited) {
            self.cite(citation, events);
        }
    }

    /// What an item holds that was not told when it ended, or when the response did.
    pub(super) fn rest_of_item<'a>(&mut self, raw: &'a RawValue, events: &mut Events<'a>) {
        let Some(item) = self.items.get(self.current) else {
            return;
        };
        let pieces = match item.kind {
            Kind::Message => of_message(raw),
            Kind::Reasoning => of_reasoning(raw),
            Kind::Call(_) | Kind::Other => return,
        };
        let (mut cited, mut others) = (item.cited, item.others);
        // How much of the texts in each slot was told; nothing is told behind what is something else.
        let mut left = [0, 1].map(|slot| {
            let texts = pieces.iter().filter_map(|piece| match piece {
                Piece::Whole(whole) if whole.kind.slot() == slot => Some(whole.text.as_ref()),
                _ => None,
            });
            item.told(slot).begins(texts)
        });
        for piece in pieces {
            match piece {
                Piece::Whole(whole) => {
                    let Some(left) = left.get_mut(whole.kind.slot()) else {
                        continue;
                    };
                    match left {
                        None if !whole.text.is_empty() => events.push(untold(whole.kind.name())),
                        Some(left) if !whole.text.is_empty() => self.rest_of_piece(whole.kind, &whole, left, events),
                        _ => {}
                    }
                    for citation in whole.citations {
                        match cited.checked_sub(1) {
                            Some(fewer) => cited = fewer,
                            None => self.cite(citation, events),
                        }
                    }
                }
                Piece::Other(event) => match others.checked_sub(1) {
                    Some(fewer) => others = fewer,
                    None => self.other(event, events),
                },
            }
        }
    }

    fn rest_of_piece<'a>(&mut self, kind: PartKind, whole: &Whole<'a>, left: &mut usize, events: &mut Events<'a>) {
        let told = (*left).min(whole.text.len());
        *left -= told;
        let Some(rest) = cut(&whole.text, told).filter(|rest| !rest.is_empty()) else {
            return;
        };
        if told == 0 {
            self.begin_part(kind, None, events);
        } else if self.spoke_behind(kind) {
            return events.push(untold(kind.name()));
        }
        self.say(kind, rest, whole.logprobs.clone().filter(|_| told == 0), events);
    }

    /// Whether a later item said something of this kind, which the rest of a text would be read behind.
    fn spoke_behind(&self, kind: PartKind) -> bool {
        let later = self.items.iter().skip(self.current.saturating_add(1));
        later.filter(|item| item.kind == kind.kind()).any(|item| !item.told(kind.slot()).is_empty())
    }

    fn cite<'a>(&mut self, citation: Citation<'a>, events: &mut Events<'a>) {
        if let Some(item) = self.say_kind(Kind::Message) {
            item.cited = item.cited.saturating_add(1);
            item.part.cited = item.part.cited.saturating_add(1);
        }
        events.push(Event::Citation { choice: 0, citation });
    }

    /// A citation that comes while its text does, or before.
    pub(super) fn citation<'a>(&mut self, citation: Citation<'a>, events: &mut Events<'a>) {
        self.switch(Open::Text, events);
        self.cite(citation, events);
    }

    /// A part that is no text.
    pub(super) fn other<'a>(&mut self, event: Event<'a>, events: &mut Events<'a>) {
        if let Some(item) = self.items.get_mut(self.current) {
            item.others = item.others.saturating_add(1);
        }
        if self.say_kind(Kind::Message).is_some() {
            self.switch(Open::Nothing, events);
        }
        events.push(event);
    }

    /// What the whole response holds that none of its events told: servers leave out events, and whole items.
    pub(super) fn rest_of_response<'a>(
        &mut self,
        output: Vec<&'a RawValue>,
        events: &mut Events<'a>,
    ) -> Result<(), DialectError> {
        let mut found = vec![false; self.items.len()];
        for (index, raw) in (0..).zip(output) {
            let Some(mut item) = Object::lenient(raw) else {
                continue;
            };
            let kind = Kind::of(&item);
            let id = item.peek("id").and_then(object::text).unwrap_or_default();
            let known = self.item_of(kind, &id, index, &found);
            let Some(position) = known else {
                self.whole_item(index, raw, events)?;
                continue;
            };
            if let Some(found) = found.get_mut(position) {
                *found = true;
            }
            self.current = position;
            match self.items.get_mut(position) {
                Some(state) if state.done => match kind {
                    Kind::Call(kind) => state.whole_arguments(&calls::input(kind, &mut item), events),
                    _ => self.rest_of_item(raw, events),
                },
                _ => self.finish_item(position, raw, None, events),
            }
        }
        Ok(())
    }

    /// Ids tell most, where events do not each have another one. A response may leave out what its events told, so that
    /// its places are not theirs.
    fn item_of(&self, kind: Kind, id: &str, index: u64, found: &[bool]) -> Option<usize> {
        let left = || {
            let items = self.items.iter().zip(found).enumerate();
            items
                .filter(|(_, (item, found))| !**found && item.kind == kind)
                .map(|(position, (item, _))| (position, item))
        };
        let by_id = left().find(|(_, item)| !id.is_empty() && *item.id == *id);
        let by_place = || left().find(|(_, item)| item.index == index);
        by_id.or_else(by_place).or_else(|| left().next()).map(|(position, _)| position)
    }
}
