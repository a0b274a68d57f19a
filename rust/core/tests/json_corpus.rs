//! The cases of `JSONTestSuite` (Seriot, "Parsing JSON is a Minefield"), each as a whole body and as the value of an
//! unknown member of a chat request. Read from `$FASTROUTE_CORPORA/json`; unset, the test says so and passes.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a corpus that cannot be read fails the test")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use fastroute_core::json::{JsonError, Limits, Scan, Scanner, Shape, scan};

/// Cases of the corpus when it is complete.
const CASES: usize = 318;

/// What the standard leaves open and we refuse, with the code of the refusal; the other open cases are accepted.
/// We take numbers that a float rounds but can hold, and refuse what some reader would see differently.
const OPEN_REFUSED: [(&str, &[&str]); 5] = [
    (
        "number_range",
        &[
            "number_huge_exp",
            "number_neg_int_huge_exp",
            "number_pos_double_huge_exp",
            "number_real_neg_overflow",
            "number_real_pos_overflow",
        ],
    ),
    (
        "lone_surrogate",
        &[
            "object_key_lone_2nd_surrogate",
            "string_1st_surrogate_but_2nd_missing",
            "string_1st_valid_surrogate_2nd_invalid",
            "string_incomplete_surrogate_and_escape_valid",
            "string_incomplete_surrogate_pair",
            "string_incomplete_surrogates_escape_valid",
            "string_invalid_lonely_surrogate",
            "string_invalid_surrogate",
            "string_inverted_surrogates_U+1D11E",
            "string_lone_second_surrogate",
        ],
    ),
    (
        "utf8",
        &[
            "string_UTF-16LE_with_BOM",
            "string_UTF-8_invalid_sequence",
            "string_UTF8_surrogate_U+D800",
            "string_invalid_utf-8",
            "string_iso_latin_1",
            "string_lone_utf8_continuation_byte",
            "string_not_in_unicode_range",
            "string_overlong_sequence_2_bytes",
            "string_overlong_sequence_6_bytes",
            "string_overlong_sequence_6_bytes_null",
            "string_truncated-utf-8",
        ],
    ),
    ("unexpected", &["string_utf16BE_no_BOM", "string_utf16LE_no_BOM", "structure_UTF-8_BOM_empty_object"]),
    ("depth", &["structure_500_nested_arrays"]),
];

fn corpus() -> Option<BTreeMap<String, Vec<u8>>> {
    let folder = PathBuf::from(std::env::var_os("FASTROUTE_CORPORA")?).join("json");
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let read = |file: std::io::Result<std::fs::DirEntry>| {
        let path = file.unwrap().path();
        let name = path.file_name()?.to_str()?.strip_suffix(".json")?.to_owned();
        Some((name, std::fs::read(path).unwrap()))
    };
    Some(files.filter_map(read).collect())
}

fn embedded(case: &[u8]) -> Vec<u8> {
    [br#"{"model":"m","messages":[],"x_unknown":"#, case, b"}"].concat()
}

fn whole(body: &[u8]) -> Result<Scan, JsonError> {
    scan(body, Shape::Chat, &Limits::default())
}

/// As a connection would give it at its worst: a byte at a time.
fn trickled(body: &[u8]) -> Result<Scan, JsonError> {
    let mut scanner = Scanner::new(Shape::Chat, &Limits::default());
    for byte in body.chunks(1) {
        scanner.feed(byte)?;
    }
    scanner.finish()
}

fn open_verdict(name: &str) -> Option<&'static str> {
    OPEN_REFUSED.iter().find(|(_, names)| names.contains(&name)).map(|(code, _)| *code)
}

#[test]
fn the_parsing_corpus_gets_the_verdicts_of_the_standard() {
    let Some(cases) = corpus() else {
        println!("skipped {CASES} cases: FASTROUTE_CORPORA is not set");
        return;
    };
    assert_eq!(cases.len(), CASES);
    let (mut sound, mut wrong, mut open_refused) = (0, 0, 0);
    for (name, case) in &cases {
        let body = embedded(case);
        let verdict = whole(&body);
        assert_eq!(verdict, trickled(&body), "{name}");
        assert_eq!(whole(case), trickled(case), "{name}");
        let code = verdict.err().map(|error| error.kind.code());
        match name.split_once('_') {
            Some(("y", _)) => {
                assert_eq!(code, None, "{name}");
                sound += 1;
            }
            Some(("n", _)) => {
                assert!(code.is_some(), "{name}");
                wrong += 1;
            }
            Some(("i", rest)) => {
                assert_eq!(code, open_verdict(rest), "{name}");
                open_refused += usize::from(code.is_some());
            }
            _ => panic!("{name}: neither y, n nor i"),
        }
        // A body of its own must also be an object, and what is refused inside another is refused there too.
        let object = case.trim_ascii().first() == Some(&b'{');
        assert_eq!(whole(case).is_ok(), object && code.is_none(), "{name}");
    }
    assert_eq!((sound, wrong), (95, 188));
    assert_eq!(open_refused, OPEN_REFUSED.iter().map(|(_, names)| names.len()).sum::<usize>());
    println!("ran {} cases, embedded and alone, whole and byte by byte", cases.len());
}
