//! Edits and splices: everything but the edited spans survives byte for byte.

use bytes::Bytes;

use super::Dice;
use crate::json::{Edit, Field, Frames, Limits, Scan, Shape, SpliceError, quote, scan, splice};

fn scanned(body: &str) -> Scan {
    scan(body.as_bytes(), Shape::Chat, &Limits::default()).unwrap()
}

fn joined(frames: &Frames) -> String {
    String::from_utf8(frames.concat()).unwrap()
}

fn edited(body: &str, edits: &[Edit]) -> String {
    let spliced = splice(&[Bytes::copy_from_slice(body.as_bytes())], edits).unwrap();
    let text = joined(&spliced);
    scan(text.as_bytes(), Shape::Chat, &Limits::default()).unwrap_or_else(|error| panic!("{text}: {error}"));
    text
}

fn cut(body: &[u8], size: usize) -> Vec<Bytes> {
    body.chunks(size).map(Bytes::copy_from_slice).collect()
}

#[test]
fn a_new_model_leaves_every_other_byte_alone() {
    let body = r#"{ "x":1.0e0, "model" : "old", "messages":[ ] }"#;
    let edit = scanned(body).replace(Field::Model, quote("new/\"one\"")).unwrap();
    assert_eq!(edited(body, &[edit]), r#"{ "x":1.0e0, "model" : "new/\"one\"", "messages":[ ] }"#);
}

#[test]
fn frames_are_shared_not_copied() {
    let body = Bytes::from_static(br#"{"model":"old","messages":[]}"#);
    let edit = Edit { at: 9..14, with: Bytes::from_static(b"\"new\"") };
    let pieces = splice(std::slice::from_ref(&body), &[edit]).unwrap();
    assert_eq!(pieces.len(), 3);
    assert_eq!(pieces[0].as_ptr(), body.as_ptr());
    assert_eq!(pieces[2].as_ptr(), body[14..].as_ptr());
}

#[test]
fn without_edits_the_frames_stay_as_they_are() {
    let frames = cut(b"{\"a\":1}", 3);
    assert_eq!(splice(&frames, &[]).unwrap().as_slice(), frames);
}

#[test]
fn splicing_frames_equals_splicing_the_whole() {
    let mut dice = Dice(3);
    for _ in 0..2_000 {
        let body: Vec<u8> = (0..dice.below(40)).map(|at| b'a' + u8::try_from(at % 26).unwrap()).collect();
        let mut bounds: Vec<usize> = (0..2 * dice.below(4)).map(|_| dice.below(body.len() + 1)).collect();
        bounds.sort_unstable();
        let mut edits: Vec<Edit> = bounds
            .chunks(2)
            .enumerate()
            .map(|(nth, pair)| Edit { at: pair[0]..pair[1], with: Bytes::from("#".repeat(nth)) })
            .collect();
        let mut expected = body.clone();
        for edit in edits.iter().rev() {
            expected.splice(edit.at.clone(), edit.with.iter().copied());
        }
        let distinct = edits.windows(2).all(|pair| pair[0].at.start < pair[1].at.start);
        if distinct {
            edits.reverse(); // Any order will do.
        }
        let spliced = splice(&cut(&body, 1 + dice.below(9)), &edits).unwrap();
        assert_eq!(spliced.concat(), expected, "{edits:?}");
        assert!(spliced.iter().all(|piece| !piece.is_empty()));
    }
}

#[test]
fn edits_that_do_not_fit_are_refused() {
    let frames = cut(b"abcdef", 2);
    let edit = |start: usize, end: usize| Edit { at: start..end, with: Bytes::new() };
    assert_eq!(splice(&frames, &[edit(0, 3), edit(2, 4)]), Err(SpliceError::Overlap { start: 2 }));
    assert_eq!(splice(&frames, &[edit(4, 7)]), Err(SpliceError::OutOfBody { start: 4, end: 7 }));
    assert_eq!(splice(&frames, &[edit(7, 7)]), Err(SpliceError::OutOfBody { start: 7, end: 7 }));
    assert_eq!(splice(&frames, &[edit(3, 2)]), Err(SpliceError::OutOfBody { start: 3, end: 2 }));
    assert_eq!(joined(&splice(&frames, &[edit(6, 6)]).unwrap()), "abcdef");
    assert_eq!(splice(&[], &[edit(0, 0)]).unwrap().len(), 0);
}

#[test]
fn insertions_at_one_place_keep_their_order() {
    let insert = |text: &'static str| Edit { at: 1..1, with: Bytes::from_static(text.as_bytes()) };
    let replace = Edit { at: 1..2, with: Bytes::from_static(b"_") };
    let spliced = splice(&cut(b"abc", 2), &[replace, insert("1"), insert("2")]).unwrap();
    assert_eq!(joined(&spliced), "a12_c");
}

#[test]
fn members_are_inserted_with_the_right_commas() {
    let members = [("a", Bytes::from_static(b"1")), ("b\"", Bytes::from_static(b"[]"))];
    assert_eq!(edited("{}", &[scanned("{}").insert(&members)]), r#"{"a":1,"b\"":[]}"#);
    let body = r#" { "n":1}"#;
    assert_eq!(edited(body, &[scanned(body).insert(&members)]), r#" {"a":1,"b\"":[], "n":1}"#);
    assert_eq!(edited(body, &[scanned(body).insert(&[])]), body);
}

#[test]
fn every_set_of_members_can_be_dropped() {
    let names = ["a", "n", "user", "b"];
    for count in 0..=names.len() {
        let whole: Vec<String> = names[..count].iter().map(|name| format!(r#" "{name}" : [1,{{}}] "#)).collect();
        let body = format!("{{{}}}", whole.join(",")).replace(r#""n" : [1,{}]"#, r#""n" : 1"#);
        let frames = [Bytes::from(body.clone())];
        let found = scanned(&body);
        for mask in 0..1_u32 << count {
            let gone: Vec<&str> = (0..count).filter(|nth| mask >> nth & 1 == 1).map(|nth| names[nth]).collect();
            let members: Vec<_> = gone.iter().rev().map(|name| found.member(&frames, name).unwrap()).collect();
            let left = edited(&body, &found.drop_members(&members));
            let tree: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&left).unwrap();
            let kept: Vec<&str> = names[..count].iter().copied().filter(|name| !gone.contains(name)).collect();
            assert_eq!(tree.len(), kept.len(), "{left}");
            assert!(kept.iter().all(|name| tree.contains_key(*name)), "{left}");
        }
    }
}

#[test]
fn a_member_can_be_renamed_and_found_over_any_cut() {
    let body = r#"{"max_completion_tokens": 5, "logit_bias": {"1":2}, "model":"m"}"#;
    let found = scanned(body);
    for size in 1..body.len() {
        let frames = cut(body.as_bytes(), size);
        let bias = found.member(&frames, "logit_bias").unwrap();
        assert_eq!(&body[bias.value()], r#"{"1":2}"#);
        assert!(found.member(&frames, "logit").is_none() && found.member(&frames, "logit_bias2").is_none());
        let edits = [found.field(Field::MaxCompletionTokens).unwrap().rename("max_tokens"), bias.rename("bias")];
        let renamed = joined(&splice(&frames, &edits).unwrap());
        assert_eq!(renamed, r#"{"max_tokens": 5, "bias": {"1":2}, "model":"m"}"#);
    }
}

#[test]
fn usage_is_asked_for_whatever_the_client_wrote() {
    for (body, expected) in [
        (r#"{"n":1}"#, r#"{"stream_options":{"include_usage":true},"n":1}"#),
        (r#"{"stream_options":null}"#, r#"{"stream_options":{"include_usage":true}}"#),
        (r#"{"stream_options":{ }}"#, r#"{"stream_options":{"include_usage":true }}"#),
        (r#"{"stream_options":{"x":{}}}"#, r#"{"stream_options":{"include_usage":true,"x":{}}}"#),
        (r#"{"stream_options":{"include_usage":false}}"#, r#"{"stream_options":{"include_usage":true}}"#),
        (r#"{"stream_options":{"include_usage":null}}"#, r#"{"stream_options":{"include_usage":true}}"#),
    ] {
        let edit = scanned(body).ask_for_usage().unwrap();
        let asked = edited(body, &[edit]);
        assert_eq!(asked, expected);
        assert_eq!(scanned(&asked).include_usage, Some(true));
        assert_eq!(scanned(&asked).ask_for_usage(), None);
    }
}

#[test]
fn quoted_text_reads_back() {
    let all: String = (0..=0x2ff_u32).filter_map(char::from_u32).chain("日本😀\u{2028}".chars()).collect();
    for text in ["", "plain", "a\"b", "a\\b", "\u{0}\u{1f}\u{7f}", &all] {
        let read: String = serde_json::from_slice(&quote(text)).unwrap();
        assert_eq!(read, text);
    }
}
