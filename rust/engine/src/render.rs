//! Numbers as text without the formatting machinery, for what every request writes.

use hyper::header::HeaderValue;

/// As many digits as the largest number has.
pub(crate) const DIGITS: usize = 20;

/// A number in decimal, with leading zeros.
pub(crate) fn digits(mut number: u64) -> [u8; DIGITS] {
    let mut text = [b'0'; DIGITS];
    for digit in text.iter_mut().rev() {
        if number == 0 {
            break;
        }
        *digit += (number % 10) as u8;
        number /= 10;
    }
    text
}

/// The same without its leading zeros.
pub(crate) fn trimmed(digits: &[u8; DIGITS]) -> &[u8] {
    let zeros = digits.iter().take(DIGITS - 1).take_while(|digit| **digit == b'0').count();
    digits.get(zeros..).unwrap_or_default()
}

/// A number as a header's value.
pub(crate) fn number(number: u64) -> HeaderValue {
    HeaderValue::from_bytes(trimmed(&digits(number))).unwrap_or(HeaderValue::from_static("0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_formatter_writes_them() {
        let powers = (0..20).map(|power| 10_u64.pow(power));
        for each in powers.flat_map(|power| [power - 1, power, power + 1]).chain([u64::MAX]) {
            assert_eq!(number(each), HeaderValue::from(each));
            assert_eq!(digits(each).as_slice(), format!("{each:020}").as_bytes());
        }
    }
}
