//! How long an upstream wants us to wait, in the forms in which providers say it.
//!
//! Zero, negative and unreadable values are no wait at all: Azure sends -1 and 0. Beyond a day nothing is meant.

use std::time::SystemTime;

/// Longest wait that is taken at its word.
const DAY_MS: u64 = 86_400_000;

/// The wait of `retry-after` (seconds, with or without a fraction, or an HTTP date) and `retry-after-ms`.
///
/// Milliseconds win where they are above zero: Azure sends 0 there and 1 in `retry-after`.
pub fn parse_retry_after(retry_after: Option<&[u8]>, retry_after_ms: Option<&[u8]>, now: SystemTime) -> Option<u64> {
    let from_ms = retry_after_ms.and_then(|value| positive_ms(text(value), 1.0));
    from_ms.or_else(|| {
        let value = text(retry_after?);
        positive_ms(value, 1_000.0).or_else(|| {
            let wait = httpdate::parse_http_date(value).ok()?.duration_since(now).ok()?;
            let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(DAY_MS).min(DAY_MS);
            (wait_ms > 0).then_some(wait_ms)
        })
    })
}

/// A wait as rate-limit headers and Google's `retryDelay` write it: plain seconds, or Go's `1m30.5s`, `6ms`, `48s`.
pub fn parse_wait(value: &[u8]) -> Option<u64> {
    let mut rest = text(value);
    if let Some(wait_ms) = positive_ms(rest, 1_000.0) {
        return Some(wait_ms);
    }
    let mut total_ms = 0;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(rest.len());
        let (number, unit_on) = rest.split_at(digits);
        let unit_end = unit_on.find(|letter: char| letter.is_ascii_digit()).unwrap_or(unit_on.len());
        let (unit, after) = unit_on.split_at(unit_end);
        let unit_ms = match unit {
            "d" => 86_400_000.0,
            "h" => 3_600_000.0,
            "m" => 60_000.0,
            "s" => 1_000.0,
            "ms" => 1.0,
            "us" | "µs" => 0.001,
            _ => return None,
        };
        // `0s` within `6m0s` is fine; only the whole must be above zero.
        total_ms += positive_ms(number, unit_ms).unwrap_or(0);
        rest = after;
    }
    (total_ms > 0).then_some(total_ms.min(DAY_MS))
}

fn text(value: &[u8]) -> &str {
    std::str::from_utf8(value).unwrap_or_default().trim()
}

/// Rounded up, so that a wait is never cut short.
fn positive_ms(number: &str, unit_ms: f64) -> Option<u64> {
    let amount = number.parse::<f64>().ok()? * unit_ms;
    if amount.is_nan() || amount <= 0.0 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "above zero, and the cast saturates")]
    let wait_ms = amount.ceil() as u64;
    Some(wait_ms.min(DAY_MS))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT, the example date of RFC 9110.
    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777)
    }

    fn wait(seconds: &str, ms: &str) -> Option<u64> {
        let given = |value: &'static str| (!value.is_empty()).then_some(value.as_bytes());
        let leak = |value: &str| -> &'static str { Box::leak(value.to_owned().into_boxed_str()) };
        parse_retry_after(given(leak(seconds)), given(leak(ms)), now())
    }

    #[test]
    fn seconds_fractions_dates_and_milliseconds_are_read() {
        for (seconds, ms, expected) in [
            ("7", "", Some(7_000)),
            (" 1.5 ", "", Some(1_500)),
            ("0.0001", "", Some(1)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", "", Some(10_000)),
            ("Sunday, 06-Nov-94 08:49:39 GMT", "", Some(2_000)),
            ("7", "250", Some(250)),
            ("1", "0", Some(1_000)),
            ("1", "-1", Some(1_000)),
            ("1e9", "", Some(DAY_MS)),
            ("inf", "", Some(DAY_MS)),
        ] {
            assert_eq!(wait(seconds, ms), expected, "{seconds:?} {ms:?}");
        }
    }

    #[test]
    fn what_is_not_a_wait_is_none() {
        for value in ["", "0", "-1", "soon", "NaN", "6m0s", "Sun, 06 Nov 1994 08:49:37 GMT", "\u{7f}"] {
            assert_eq!(wait(value, ""), None, "{value:?}");
        }
        assert_eq!(parse_retry_after(Some(b"\xFF"), None, now()), None);
    }

    #[test]
    fn durations_in_gos_notation_are_read() {
        for (value, expected) in [
            ("6ms", Some(6)),
            ("48s", Some(48_000)),
            ("1m30.5s", Some(90_500)),
            ("6m0s", Some(360_000)),
            ("1h2m3s", Some(3_723_000)),
            ("12", Some(12_000)),
            ("0.25", Some(250)),
            ("150µs", Some(1)),
            ("0s", None),
            ("-1s", None),
            ("s", None),
            ("5parsecs", None),
            ("", None),
        ] {
            assert_eq!(parse_wait(value.as_bytes()), expected, "{value:?}");
        }
    }
}
