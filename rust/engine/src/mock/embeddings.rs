//! Embedding replies: large, dull, and the same every time.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::reply::quoted;

/// A list of embeddings, as numbers of about eleven characters or as base64 of little-endian 32-bit floats.
pub(super) fn render(model: &str, inputs: usize, dimensions: usize, as_base64: bool, tokens: Option<u64>) -> String {
    let mut out = String::from("{\"object\":\"list\",\"data\":[");
    for input in 0..inputs {
        let separator = if input == 0 { "" } else { "," };
        out.push_str(separator);
        out.push_str("{\"object\":\"embedding\",\"index\":");
        out.push_str(&input.to_string());
        out.push_str(",\"embedding\":");
        let numbers = (0..dimensions).map(|place| coordinate(input * dimensions + place));
        if as_base64 {
            let bytes: Vec<u8> = numbers.flat_map(|millionths| float(millionths).to_le_bytes()).collect();
            out.push('"');
            STANDARD.encode_string(bytes, &mut out);
            out.push('"');
        } else {
            let texts: Vec<String> = numbers.map(decimal).collect();
            out.push('[');
            out.push_str(&texts.join(","));
            out.push(']');
        }
        out.push('}');
    }
    out.push_str("],\"model\":");
    out.push_str(&quoted(model));
    if let Some(tokens) = tokens {
        out.push_str(",\"usage\":");
        let usage = format!("{{\"prompt_tokens\":{tokens},\"total_tokens\":{tokens}}}");
        out.push_str(&usage);
    }
    out.push('}');
    out
}

/// A number between -0.1 and 0.1 in units of 1e-8, the same at the same place every time (Knuth's multiplicative hash).
fn coordinate(place: usize) -> i32 {
    let hash = (place as u64).wrapping_add(1).wrapping_mul(2_654_435_761) % 20_000_000;
    i32::try_from(hash).unwrap_or(0) - 10_000_000
}

fn decimal(hundred_millionths: i32) -> String {
    let sign = if hundred_millionths < 0 { "-" } else { "" };
    format!("{sign}0.{:08}", hundred_millionths.unsigned_abs())
}

#[expect(clippy::cast_possible_truncation, reason = "an embedding is a list of 32-bit floats")]
fn float(hundred_millionths: i32) -> f32 {
    (f64::from(hundred_millionths) / 1e8) as f32
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn an_embedding_is_the_same_in_both_encodings() {
        let plain: Value = serde_json::from_str(&render("m", 2, 3, false, Some(4))).unwrap();
        let packed: Value = serde_json::from_str(&render("m", 2, 3, true, None)).unwrap();
        for input in 0..2 {
            let bytes = STANDARD.decode(packed["data"][input]["embedding"].as_str().unwrap()).unwrap();
            let unpacked: Vec<f32> = bytes.chunks(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
            let numbers: Vec<f32> = serde_json::from_value(plain["data"][input]["embedding"].clone()).unwrap();
            assert_eq!(unpacked, numbers);
        }
    }

    #[test]
    fn sixty_four_inputs_make_a_reply_of_about_1_1_megabytes() {
        let bytes = render("m", 64, 1536, false, Some(4)).len();
        assert!((1_050_000..1_200_000).contains(&bytes), "{bytes}");
    }
}
