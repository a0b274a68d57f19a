//! Text, raw JSON, and the fields that only one dialect understands.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::dialects::Dialect;

pub type Text<'a> = Cow<'a, str>;

/// JSON text that is known to be valid and is passed on as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json<'a>(Text<'a>);

impl<'a> Json<'a> {
    /// `None` when `text` is not one JSON value.
    pub fn parse(text: &'a str) -> Option<Self> {
        serde_json::from_str::<&RawValue>(text).ok().map(Self::from)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn into_owned(self) -> Json<'static> {
        Json(Cow::Owned(self.0.into_owned()))
    }

    /// The word null: for a mark that says enough by being there.
    pub(crate) const fn null() -> Self {
        Self(Cow::Borrowed("null"))
    }

    /// A JSON string.
    pub(crate) fn quoted(text: &str) -> Json<'static> {
        let mut out = Vec::with_capacity(text.len() + 2);
        crate::dialects::output::text(&mut out, text);
        Json::written(out)
    }

    /// For text this crate has just written.
    pub(crate) fn written(text: Vec<u8>) -> Json<'static> {
        Json(Cow::Owned(String::from_utf8(text).unwrap_or_default()))
    }

    pub(crate) fn as_raw(&self) -> Option<Cow<'_, RawValue>> {
        serde_json::from_str(&self.0).ok().map(Cow::Borrowed)
    }
}

impl<'a> From<&'a RawValue> for Json<'a> {
    fn from(raw: &'a RawValue) -> Self {
        Self(Cow::Borrowed(raw.get()))
    }
}

/// A field of one dialect that has no neutral meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extra<'a> {
    pub dialect: Dialect,
    pub name: Text<'a>,
    pub value: Json<'a>,
}

impl Extra<'_> {
    /// It is of another dialect, and says something: null and an empty list say what leaving them out says.
    pub(crate) fn is_lost_in(&self, dialect: Dialect) -> bool {
        self.dialect != dialect && !matches!(self.value.as_str(), "null" | "[]")
    }
}

/// Such fields in the order in which they were read. A renderer writes those of its own dialect and no others.
///
/// An object of which some members are understood leaves the others here, as an object under its own name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extras<'a>(Vec<Extra<'a>>, Vec<Extra<'a>>);

impl<'a> Extras<'a> {
    pub fn push(&mut self, extra: Extra<'a>) {
        self.0.push(extra);
    }

    pub fn extend(&mut self, extras: impl IntoIterator<Item = Extra<'a>>) {
        self.0.extend(extras);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Extra<'a>> {
        self.0.iter()
    }

    pub fn of(&self, dialect: Dialect) -> impl Iterator<Item = &Extra<'a>> {
        self.0.iter().filter(move |extra| extra.dialect == dialect)
    }

    pub fn get(&self, dialect: Dialect, name: &str) -> Option<&Json<'a>> {
        self.of(dialect).find(|extra| extra.name == name).map(|extra| &extra.value)
    }

    /// Takes over from what was said before whatever is not said again.
    pub fn inherit(&mut self, earlier: &Self) {
        let said = self.0.len();
        for extra in &earlier.0 {
            let again = |later: &Extra<'_>| later.dialect == extra.dialect && later.name == extra.name;
            if !self.0.iter().take(said).any(again) {
                self.0.push(extra.clone());
            }
        }
    }

    /// Takes a field out, for whoever found a place for it.
    pub(crate) fn take(&mut self, dialect: Dialect, name: &str) -> Option<Json<'a>> {
        let at = self.0.iter().position(|extra| extra.dialect == dialect && extra.name == name)?;
        Some(self.0.remove(at).value)
    }

    /// Remembers how `dialect` spelled something that means nothing elsewhere, the id of an item for example. A mark is no
    /// field: only [`Self::marked`] finds it, nothing writes it by itself, and nobody has to name it as lost.
    pub fn mark(&mut self, dialect: Dialect, name: &'static str, value: Json<'a>) {
        self.1.push(Extra { dialect, name: name.into(), value });
    }

    pub fn marked(&self, dialect: Dialect, name: &str) -> Option<&Json<'a>> {
        self.1.iter().find(|mark| mark.dialect == dialect && mark.name == name).map(|mark| &mark.value)
    }

    pub fn into_owned(self) -> Extras<'static> {
        let own = |all: Vec<Extra<'a>>| {
            let owned = all.into_iter().map(|extra| Extra {
                dialect: extra.dialect,
                name: Cow::Owned(extra.name.into_owned()),
                value: extra.value.into_owned(),
            });
            owned.collect()
        };
        Extras(own(self.0), own(self.1))
    }
}

/// How a value was written that a dialect lets its users write in more than one way. It carries no meaning; a renderer
/// of the same dialect repeats it, so that reading and writing are inverse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Spelling {
    /// A bare string or number; null where there is nothing to say.
    #[default]
    Plain,
    /// A list or an object.
    Structured,
    /// Left out.
    Absent,
}
