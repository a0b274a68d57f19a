//! Where in the grammar a reader stands.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Before the body's opening brace.
    Start,
    /// After `{`: a name or `}`.
    FirstName,
    /// After `,` in an object: a name.
    Name,
    Colon,
    /// After `[`: a value or `]`.
    FirstItem,
    Value,
    /// After a value: `,` or the end of the container.
    Separator,
    /// Inside a name that was cut or holds escapes.
    NameText,
    /// Inside a string value that was cut or holds escapes.
    ValueText,
    Number,
    /// Inside `true`, `false` or `null`, which was cut.
    Literal,
    /// After the body's closing brace.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Literal {
    True,
    False,
    Null,
}

impl Literal {
    pub(super) fn text(self) -> &'static [u8] {
        match self {
            Self::True => b"true",
            Self::False => b"false",
            Self::Null => b"null",
        }
    }
}
