//! Text, raw JSON, and the fields that only one dialect understands.

use std::borrow::Cow;

use crate::dialects::raw::RawValue;

use super::lost;
use super::origin::Origin;
use crate::dialects::Dialect;
use crate::dialects::object::Object;
use crate::dialects::output;

pub type Text<'a> = Cow<'a, str>;

/// JSON text that is known to be valid and is passed on as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json<'a>(Text<'a>);

impl<'a> Json<'a> {
    /// `None` when `text` is not one JSON value.
    pub fn parse(text: &'a str) -> Option<Self> {
        RawValue::parse(text).ok().map(Self::from)
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

    pub(crate) fn as_raw(&self) -> Option<&RawValue> {
        (!self.0.is_empty()).then(|| RawValue::known(&self.0))
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

/// Such fields in the order in which they were read. A renderer writes those of its own dialect and no others.
///
/// An object of which some members are understood leaves the others here, as an object under its own name.
#[derive(Debug, Clone, Default)]
pub struct Extras<'a> {
    fields: Vec<Extra<'a>>,
    marks: Vec<Extra<'a>>,
    origin: Option<Origin>,
}

/// Where something was written is not what it says.
impl PartialEq for Extras<'_> {
    fn eq(&self, other: &Self) -> bool {
        (&self.fields, &self.marks) == (&other.fields, &other.marks)
    }
}

impl Eq for Extras<'_> {}

impl<'a> Extras<'a> {
    pub fn push(&mut self, extra: Extra<'a>) {
        self.fields.push(extra);
    }

    pub fn extend(&mut self, extras: impl IntoIterator<Item = Extra<'a>>) {
        self.fields.extend(extras);
    }

    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Extra<'a>> {
        self.fields.iter()
    }

    pub fn of(&self, dialect: Dialect) -> impl Iterator<Item = &Extra<'a>> {
        self.fields.iter().filter(move |extra| extra.dialect == dialect)
    }

    pub fn get(&self, dialect: Dialect, name: &str) -> Option<&Json<'a>> {
        self.of(dialect).find(|extra| extra.name == name).map(|extra| &extra.value)
    }

    /// Takes over from what was said before whatever is not said again.
    pub fn inherit(&mut self, earlier: &Self) {
        let said = self.fields.len();
        for extra in &earlier.fields {
            let again = |later: &Extra<'_>| later.dialect == extra.dialect && later.name == extra.name;
            if !self.fields.iter().take(said).any(again) {
                self.fields.push(extra.clone());
            }
        }
    }

    /// Takes a field out, for whoever found a place for it.
    pub(crate) fn take(&mut self, dialect: Dialect, name: &str) -> Option<Json<'a>> {
        let at = self.fields.iter().position(|extra| extra.dialect == dialect && extra.name == name)?;
        Some(self.fields.remove(at).value)
    }

    /// Remembers how `dialect` spelled something that means nothing elsewhere, the id of an item for example. A mark is no
    /// field: only [`Self::marked`] finds it, nothing writes it by itself, and nobody has to name it as lost.
    pub fn mark(&mut self, dialect: Dialect, name: &'static str, value: Json<'a>) {
        self.marks.push(Extra { dialect, name: name.into(), value });
    }

    pub fn marked(&self, dialect: Dialect, name: &str) -> Option<&Json<'a>> {
        self.marks.iter().find(|mark| mark.dialect == dialect && mark.name == name).map(|mark| &mark.value)
    }

    /// What nobody took of an object, as one field of that name.
    pub(crate) fn as_rest(&self, dialect: Dialect, name: &'static str) -> Extra<'static> {
        let members = self.fields.iter().filter(|extra| extra.dialect == dialect);
        let members = members.map(|extra| (extra.name.as_ref(), extra.value.as_str()));
        Extra { dialect, name: name.into(), value: Json::written(output::plain_object(members)) }
    }

    /// The members of such a field.
    pub(crate) fn inside(&self, dialect: Dialect, name: &str) -> Extras<'static> {
        let raw = self.get(dialect, name).and_then(Json::as_raw);
        let rest = raw.and_then(Object::lenient).map(|rest| rest.into_extras(dialect));
        rest.map(Extras::into_owned).unwrap_or_default()
    }

    /// Where the client wrote what these belong to.
    pub(crate) fn origin(&self) -> Option<Origin> {
        self.origin
    }

    /// The same, with what they belong to written there.
    pub(crate) fn place(&mut self, origin: Option<Origin>) {
        self.origin = origin;
    }

    /// The names of what is lost of these in `dialect`.
    pub(crate) fn lost_in(&self, dialect: Dialect) -> impl Iterator<Item = String> + '_ {
        self.fields.iter().filter(move |extra| extra.dialect != dialect).flat_map(lost::names)
    }

    /// The same where there is no place for any of them.
    pub(crate) fn lost(&self) -> impl Iterator<Item = String> + '_ {
        self.fields.iter().flat_map(lost::names)
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
        Extras { fields: own(self.fields), marks: own(self.marks), origin: self.origin }
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
