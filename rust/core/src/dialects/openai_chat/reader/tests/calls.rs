//! Calls that servers say more than once.

use super::read_deltas;

/// What clients put together of the calls of a stream: name and arguments of each.
fn calls(deltas: &[String]) -> Vec<(String, String)> {
    let deltas: Vec<_> = deltas.iter().map(|delta| (delta.as_str(), "null")).collect();
    let mut calls: Vec<(String, String)> = Vec::new();
    for line in read_deltas(&deltas) {
        let words: Vec<_> = line.splitn(5, ' ').collect();
        match words.as_slice() {
            ["0", "call", number, "+=", arguments] => {
                let at: usize = number.parse().unwrap();
                calls[at].1.push_str(arguments);
            }
            ["0", "call", _, name, _] => calls.push(((*name).to_owned(), String::new())),
            _ => {}
        }
    }
    calls
}

fn entry(id: &str, name: &str, arguments: &str) -> String {
    let arguments = serde_json::to_string(arguments).unwrap();
    format!(r#"{{"tool_calls":[{{"index":0,"id":"{id}","function":{{"name":"{name}","arguments":{arguments}}}}}]}}"#)
}

#[test]
fn a_call_that_is_said_again_is_told_once() {
    let whole = r#"{"at": "sea", "n": {"k": 1}}"#;
    let once = [("look".to_owned(), whole.to_owned())];
    let pieces = [r#"{"at"#, r#"": "sea""#, r#", "n": {"k""#, ": 1}}"];
    let streamed: Vec<_> = pieces.iter().map(|piece| entry("a", "look", piece)).collect();
    let in_a_string = serde_json::to_string(whole).unwrap();
    for (id, name, again) in [("a", "look", whole), ("", "", whole), ("a", "", " \n"), ("a", "look", &in_a_string)] {
        let said = [streamed.as_slice(), &[entry(id, name, again)]].concat();
        assert_eq!(calls(&said), once, "{again}");
    }
    // With each piece all that came before it.
    let mut so_far = String::new();
    let cumulative = pieces.map(|piece| {
        so_far.push_str(piece);
        entry("a", "look", &so_far)
    });
    assert_eq!(calls(&cumulative), once);
}

#[test]
fn blanks_behind_a_whole_call_of_the_same_name_are_not_another_call() {
    let said = [entry("", "look", r#"{"at":1}"#), entry("", "look", " ")];
    assert_eq!(calls(&said)[..1], [("look".to_owned(), r#"{"at":1}"#.to_owned())]);
    assert_eq!(calls(&said).len(), 1);
}

#[test]
fn other_arguments_under_the_same_id_are_another_call() {
    let said = [entry("look", "look", r#"{"at":1}"#), entry("look", "look", r#"{"at":2}"#)];
    let calls = calls(&said);
    assert_eq!(calls, [r#"{"at":1}"#, r#"{"at":2}"#].map(|said| ("look".to_owned(), said.to_owned())));
}

#[test]
fn an_object_within_one_that_begins_like_it_is_told() {
    let said = [r#"{"node":"#, r#"{"node":"#, r#"{"node":1}"#, "}}"].map(|piece| entry("a", "", piece));
    let said = [[entry("a", "look", "")].as_slice(), &said].concat();
    assert_eq!(calls(&said), [("look".to_owned(), r#"{"node":{"node":{"node":1}}}"#.to_owned())]);
}
