//! The body scanner: one verdict for any cut, agreement with a full parser, and edits that touch nothing else.

use bytes::Bytes;
use fastroute_core::json::{
    Edit, Field, JsonError, JsonErrorKind as Kind, Limits, Member, Scan, Scanner, Shape, quote, scan, splice,
};
use serde_json::Value;

use super::cuts::{self, Dice};

pub fn check(input: &[u8]) {
    let (choice, body) = super::chosen(input);
    let shape = [Shape::Chat, Shape::Embeddings, Shape::Any][usize::from(choice) % 3];
    let limits = if choice & 0x40 == 0 {
        Limits { depth: 6, body_bytes: 300, messages: 3, model_bytes: 8 }
    } else {
        Limits::default()
    };
    let whole = scan(body, shape, &limits);
    for frames in cuts::of(body) {
        assert_eq!(fed(&frames, shape, &limits), whole, "the cut decides");
    }
    let tree = serde_json::from_slice::<Value>(body);
    match &whole {
        Ok(found) => {
            says_the_same(found, body, shape, tree);
            edits_touch_nothing_else(found, body, shape, Dice::of(input));
        }
        Err(error) => {
            assert!(error.offset <= body.len(), "{error:?}");
            assert!(tree.is_err() || may_be_stricter(error.kind), "only the scanner refuses: {error}");
        }
    }
}

fn fed(frames: &[&[u8]], shape: Shape, limits: &Limits) -> Result<Scan, JsonError> {
    let mut scanner = Scanner::new(shape, limits);
    for frame in frames {
        scanner.feed(frame)?;
    }
    scanner.finish()
}

/// The rows of `docs/decisions/0002-json-verdicts.md` that a full parser accepts.
fn may_be_stricter(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::TopLevel
            | Kind::NumberRange
            | Kind::Depth
            | Kind::BodyTooLarge
            | Kind::TooManyMessages
            | Kind::ModelEmpty
            | Kind::ModelTooLong
            | Kind::DuplicateKey
            | Kind::EscapedKey
            | Kind::OtherCase
            | Kind::WrongType(_)
            | Kind::NotInteger
    )
}

fn says_the_same(found: &Scan, body: &[u8], shape: Shape, tree: serde_json::Result<Value>) {
    let tree = match tree {
        Ok(tree) => tree,
        // serde_json stops one level earlier, and its fast float reading rounds the largest numbers up to infinity.
        Err(error) if ["recursion", "out of range"].iter().any(|known| error.to_string().contains(known)) => return,
        Err(error) => panic!("only the scanner accepts: {error}"),
    };
    assert_eq!(found.model.as_deref(), tree["model"].as_str());
    assert_eq!(found.empty, tree.as_object().is_some_and(serde_json::Map::is_empty));
    if shape != Shape::Embeddings {
        assert_eq!(found.stream, tree["stream"].as_bool());
    }
    if shape == Shape::Chat {
        assert_eq!(found.n, tree["n"].as_u64());
        let most = [&tree["max_completion_tokens"], &tree["max_tokens"]].into_iter().find_map(Value::as_u64);
        assert_eq!(found.max_tokens, most);
        assert_eq!(found.include_usage, tree["stream_options"]["include_usage"].as_bool());
        assert_eq!(found.messages as usize, tree["messages"].as_array().map_or(0, Vec::len));
        assert_eq!(found.tools as usize, tree["tools"].as_array().map_or(0, Vec::len));
        let roles = &found.roles;
        let named = [roles.system, roles.developer, roles.user, roles.assistant, roles.tool, roles.function];
        assert_eq!(named.iter().sum::<u32>() + roles.other, found.messages);
    }
    let mut names = Vec::new();
    for member in &found.members {
        let name: String = serde_json::from_slice(&body[member.name()]).expect("a span of a name");
        let value: Value = serde_json::from_slice(&body[member.value()]).expect("a span of a value");
        names.push((name, value, member.field()));
    }
    for (at, (name, value, field)) in names.iter().enumerate() {
        let again = names[at + 1..].iter().any(|(later, ..)| later == name);
        assert!(field.is_none() || !again, "{name} was let through twice");
        // Of two members with one name the tree holds the last, which may be one too many to be remembered.
        assert!(again || names.len() >= Scan::MEMBERS || value == &tree[name], "{name}");
    }
}

fn edits_touch_nothing_else(found: &Scan, body: &[u8], shape: Shape, mut dice: Dice) {
    let name = ["m", "new/\"model\" \u{1f600}", ""][dice.below(2)];
    let usage = (shape == Shape::Chat).then(|| found.ask_for_usage()).flatten();
    let asks = usage.is_some();
    let mut edits: Vec<Edit> = found.replace(Field::Model, quote(name)).into_iter().chain(usage).collect();
    let renamed = !edits.is_empty() && found.span(Field::Model).is_some();
    // Into a body without members everything goes with one edit, and asking for usage may have been it.
    if dice.below(2) == 0 && !(asks && found.empty) {
        edits.push(found.insert(&[("x-1", Bytes::from_static(b"[{}]")), ("x-2", Bytes::from_static(b"0"))]));
    }
    let after = respliced(body, &edits, shape, &mut dice);
    assert!(!renamed || after.model.as_deref() == Some(name));
    assert!(!asks || after.include_usage == Some(true));

    let dropped: Vec<&Member> = found.members.iter().filter(|_| dice.below(3) == 0).collect();
    let after = respliced(body, &found.drop_members(&dropped), shape, &mut dice);
    if found.members.len() < Scan::MEMBERS {
        assert_eq!(after.members.len(), found.members.len() - dropped.len(), "dropped too much or too little");
        let kept = found.members.iter().filter(|member| !dropped.contains(member));
        assert!(kept.map(Member::field).eq(after.members.iter().map(Member::field)));
    }
}

/// The body after the edits, which must be what editing one piece of bytes gives, and must scan.
fn respliced(body: &[u8], edits: &[Edit], shape: Shape, dice: &mut Dice) -> Scan {
    let size = 1 + dice.below(40);
    let frames: Vec<Bytes> = body.chunks(size).map(Bytes::copy_from_slice).collect();
    let said = splice(&frames, edits).expect("edits of a scan fit its body").concat();
    let mut expected = body.to_vec();
    let mut ordered: Vec<&Edit> = edits.iter().collect();
    // Stable: of several at one place the last is applied first, so that they stand in their order.
    ordered.sort_by_key(|edit| (edit.at.start, edit.at.end));
    for edit in ordered.iter().rev() {
        expected.splice(edit.at.clone(), edit.with.iter().copied());
    }
    assert_eq!(said, expected);
    scan(&said, shape, &Limits::default())
        .unwrap_or_else(|error| panic!("{error} in {:?}", String::from_utf8_lossy(&said)))
}
