use super::*;

fn suited(schema: &str, rules: &SchemaRules) -> String {
    let json = Json::parse(schema).unwrap();
    suit(&json, rules).map_or_else(|| schema.to_owned(), |suited| suited.as_str().to_owned())
}

#[test]
fn what_needs_no_change_keeps_its_bytes() {
    let schema = r#"{ "type" : "object", "properties": {"z": {"type":"number","minimum":1e3}, "a": {}} }"#;
    assert!(suit(&Json::parse(schema).unwrap(), &SchemaRules::INLINED).is_none());
}

#[test]
fn anthropic_gets_closed_objects_and_constraints_in_words() {
    let schema = r#"{"$schema":"x","type":"object","properties":{
        "z":{"type":"integer","minimum":1,"description":"A count."},"a":{"oneOf":[{"type":"string","format":"uri"},
        {"type":"string","format":"phone"}]},"minimum":{"type":"string"}},"required":["z"]}"#;
    assert_eq!(
        suited(schema, &SchemaRules::ANTHROPIC),
        concat!(
            r#"{"type":"object","properties":{"z":{"type":"integer","description":"A count. (minimum: 1)"},"#,
            r#""a":{"anyOf":[{"type":"string","format":"uri"},{"type":"string","description":"(format: phone)"}]},"#,
            r#""minimum":{"type":"string"}},"required":["z"],"additionalProperties":false}"#
        )
    );
}

#[test]
fn google_gets_its_older_form() {
    let schema = r##"{"type":"object","additionalProperties":false,"$defs":{"P":{"type":"object","properties":{"x":{"type":["integer","null"]}}}},
        "properties":{"p":{"$ref":"#/$defs/P","description":"where"},"k":{"const":7},"u":{"anyOf":[{"type":"string"},{"type":"null"}]}},
        "allOf":[{"required":["p"]},{"required":["p","k"]}]}"##;
    assert_eq!(
        suited(schema, &SchemaRules::OPEN_API),
        concat!(
            r#"{"type":"object","properties":{"p":{"type":"object","properties":{"x":{"type":"integer","nullable":true}},"#,
            r#""description":"where"},"k":{"enum":["7"],"type":"string"},"u":{"type":"string","nullable":true}},"#,
            r#""required":["p","k"],"propertyOrdering":["p","k","u"]}"#
        )
    );
}

#[test]
fn a_schema_that_refers_to_itself_is_cut_and_stays_small() {
    let schema = r##"{"$defs":{"T":{"type":"object","properties":{"next":{"$ref":"#/$defs/T"}}}},"$ref":"#/$defs/T"}"##;
    assert_eq!(suited(schema, &SchemaRules::INLINED), r#"{"type":"object","properties":{"next":{}}}"#);
    // Each level twice the one below: thirty of them would be a billion.
    let levels: Vec<String> = (0..30)
        .map(|level| {
            let below = level + 1;
            format!(r##""L{level}":{{"properties":{{"a":{{"$ref":"#/$defs/L{below}"}},"b":{{"$ref":"#/$defs/L{below}"}}}}}}"##)
        })
        .collect();
    let bomb = format!(r##"{{"$defs":{{{}}},"$ref":"#/$defs/L0"}}"##, levels.join(","));
    assert!(suited(&bomb, &SchemaRules::INLINED).len() < 4 << 20);
}

#[test]
fn openai_gets_every_property_required() {
    let schema =
        r#"{"type":"object","properties":{"a":{"type":"string","default":"x"},"b":{"type":"object","properties":{}}}}"#;
    assert_eq!(
        suited(schema, &SchemaRules::OPENAI_STRICT),
        concat!(
            r#"{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"object","properties":{},"#,
            r#""additionalProperties":false,"required":[]}},"additionalProperties":false,"required":["a","b"]}"#
        )
    );
}

#[test]
fn mistral_gets_neither_references_nor_closed_objects() {
    let schema = r##"{"$id":"i","type":"object","additionalProperties":false,"properties":{"a":{"$ref":"#/definitions/A"}},
        "definitions":{"A":{"enum":[1]}}}"##;
    assert_eq!(suited(schema, &SchemaRules::BARE), r#"{"type":"object","properties":{"a":{"enum":[1]}}}"#);
}

#[test]
fn no_text_is_too_odd_to_be_walked() {
    for odd in ["null", "[]", "7", r#"{"properties":[1],"$ref":7,"required":{},"anyOf":{}}"#, r#"{"a":1,"a":2}"#] {
        for rules in [SchemaRules::ANTHROPIC, SchemaRules::OPEN_API, SchemaRules::BARE, SchemaRules::OPENAI_STRICT] {
            let suited = suited(odd, &rules);
            assert!(Json::parse(&suited).is_some(), "{odd}: {suited}");
        }
    }
    let deep = format!("{}{}", r#"{"items":"#.repeat(500), "{}".to_owned() + &"}".repeat(500));
    assert_eq!(suited(&deep, &SchemaRules::OPEN_API), deep);
}
