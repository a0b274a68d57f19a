//! Numbers, a byte at a time: the RFC 8259 grammar, whole numbers up to 2^63-1, and whether a float could hold it.
//!
//! The surprise is at the upper end: of a number at 10^308 only the first 19 digits are compared with the point from
//! which rounding gives infinity, so a sliver of 10^-18 below that point is refused although it would round down.

/// First 19 digits of 2^1024 − 2^970 ≈ 1.797…e308, halfway between the largest finite `f64` and the next power of two.
const INFINITE_FROM: u64 = 1_797_693_134_862_315_807;
/// Decimal power of that number's first digit.
const INFINITE_POWER: i64 = 308;
/// Digits that fit a `u64` whatever they are.
const DIGITS: u32 = 19;
/// Exponents are held to this, far above what the digits of any admissible body could make up for.
const EXPONENT_CAP: i64 = 1 << 40;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Minus,
    Zero,
    Integer,
    Point,
    Fraction,
    Marker,
    Sign,
    Exponent,
}

/// What a byte did to the number.
pub(super) enum Step {
    Taken,
    /// The byte is not part of the number, which is complete without it.
    Ended,
    Malformed,
    /// `-Infinity` or `-NaN`, which some writers emit.
    NotFinite,
}

/// A whole number of up to 18 digits at the start of the bytes, and its length, when the byte after it is there and
/// ends it. Nearly all numbers are such, and a list of tokens has nothing else.
#[inline]
pub(super) fn short_whole(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0;
    for (length, &byte) in bytes.iter().enumerate().take(DIGITS as usize) {
        match byte {
            b'0'..=b'9' => value = value * 10 + u64::from(byte.wrapping_sub(b'0')),
            b',' | b']' | b'}' | b' ' | b'\n' | b'\r' | b'\t' => {
                let zero_leads = bytes.first() == Some(&b'0') && length > 1;
                return (length > 0 && !zero_leads).then_some((value, length));
            }
            _ => return None,
        }
    }
    None
}

/// A number being read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number {
    phase: Phase,
    negative: bool,
    /// The first significant digits, at most [`DIGITS`] of them.
    mantissa: u64,
    significant: u32,
    /// Digits before the point, none for a lone zero.
    integer_digits: i64,
    /// Zeros between the point and the first significant digit.
    leading_zeros: i64,
    exponent: i64,
    exponent_negative: bool,
}

impl Number {
    /// `first` is `-` or a digit.
    pub(super) fn start(first: u8) -> Self {
        let digit = first.wrapping_sub(b'0');
        let (phase, mantissa) = match first {
            b'-' => (Phase::Minus, 0),
            b'0' => (Phase::Zero, 0),
            _ => (Phase::Integer, u64::from(digit)),
        };
        let nonzero = phase == Phase::Integer;
        Self {
            phase,
            negative: first == b'-',
            mantissa,
            significant: u32::from(nonzero),
            integer_digits: i64::from(nonzero),
            leading_zeros: 0,
            exponent: 0,
            exponent_negative: false,
        }
    }

    pub(super) fn feed(&mut self, byte: u8) -> Step {
        match (self.phase, byte) {
            (Phase::Minus, b'0') => self.phase = Phase::Zero,
            (Phase::Minus, b'N' | b'I') => return Step::NotFinite,
            (Phase::Minus | Phase::Integer, b'0'..=b'9') => {
                self.phase = Phase::Integer;
                self.integer_digits += 1;
                self.digit(byte);
            }
            (Phase::Zero | Phase::Integer, b'.') => self.phase = Phase::Point,
            (Phase::Point | Phase::Fraction, b'0'..=b'9') => {
                self.phase = Phase::Fraction;
                self.digit(byte);
                self.leading_zeros += i64::from(self.mantissa == 0);
            }
            (Phase::Zero | Phase::Integer | Phase::Fraction, b'e' | b'E') => {
                self.phase = Phase::Marker;
            }
            (Phase::Marker, b'+' | b'-') => {
                self.phase = Phase::Sign;
                self.exponent_negative = byte == b'-';
            }
            (Phase::Marker | Phase::Sign | Phase::Exponent, b'0'..=b'9') => {
                self.phase = Phase::Exponent;
                let digit = i64::from(byte.wrapping_sub(b'0'));
                self.exponent = (self.exponent * 10 + digit).min(EXPONENT_CAP);
            }
            // A digit after a leading zero is a malformed number, not a number and a stray digit.
            (Phase::Zero, b'0'..=b'9') | (Phase::Minus | Phase::Point | Phase::Marker | Phase::Sign, _) => {
                return Step::Malformed;
            }
            (Phase::Zero | Phase::Integer | Phase::Fraction | Phase::Exponent, _) => {
                return Step::Ended;
            }
        }
        Step::Taken
    }

    fn digit(&mut self, byte: u8) {
        if self.significant < DIGITS {
            self.mantissa = self.mantissa * 10 + u64::from(byte.wrapping_sub(b'0'));
            self.significant += u32::from(self.mantissa != 0);
        }
    }

    /// Whether reading this as a 64-bit float gives infinity.
    pub(super) fn overflows(&self) -> bool {
        if self.mantissa == 0 {
            return false;
        }
        let written = if self.integer_digits > 0 { self.integer_digits - 1 } else { -1 - self.leading_zeros };
        let shift = if self.exponent_negative { -self.exponent } else { self.exponent };
        match written + shift {
            ..INFINITE_POWER => false,
            INFINITE_POWER => self.mantissa * 10_u64.pow(DIGITS - self.significant) >= INFINITE_FROM,
            _ => true,
        }
    }

    /// The value when it was written as a plain whole number that signed and unsigned readers both can hold.
    pub(super) fn whole(&self) -> Option<u64> {
        let plain = matches!(self.phase, Phase::Zero | Phase::Integer) && !self.negative;
        let held = self.integer_digits <= i64::from(DIGITS) && i64::try_from(self.mantissa).is_ok();
        (plain && held).then_some(self.mantissa)
    }
}

#[cfg(test)]
mod tests {
    use super::{Number, Step, short_whole};

    fn read(text: &str) -> Option<Number> {
        let (first, rest) = text.as_bytes().split_first()?;
        let mut number = Number::start(*first);
        for &byte in rest.iter().chain(b",") {
            match number.feed(byte) {
                Step::Taken => {}
                Step::Ended => return (byte == b',').then_some(number),
                Step::Malformed | Step::NotFinite => return None,
            }
        }
        None
    }

    #[test]
    fn a_number_overflows_exactly_where_a_float_does() {
        let long = "9".repeat(400);
        let fraction = format!("0.{}1e709", "0".repeat(400));
        let max = format!("{:.0}", f64::MAX);
        for text in [
            "0",
            "-0",
            "0e999999999999999999999",
            "0.000e309",
            "1e308",
            "1e309",
            "-1e309",
            "1.7976931348623157e308",
            "1.7976931348623158e308",
            "17976931348623157e292",
            "1.797693134862315808e308",
            "1.8e308",
            "9e307",
            "0.1e310",
            "0.17e309",
            "0.18e309",
            "1e-400",
            "1e99999999999999999999",
            "1e-99999999999999999999",
            "0.00000000017976931348623159e318",
            &long,
            &fraction,
            &max,
        ] {
            let float: f64 = text.parse().unwrap();
            assert_eq!(read(text).unwrap().overflows(), float.is_infinite(), "{text}");
        }
    }

    #[test]
    fn the_sliver_below_infinity_is_refused() {
        assert!("1.7976931348623158070e308".parse::<f64>().unwrap().is_finite());
        assert!(read("1.7976931348623158070e308").unwrap().overflows());
    }

    #[test]
    fn only_plain_digits_up_to_the_signed_limit_are_whole() {
        assert_eq!(read("0").unwrap().whole(), Some(0));
        assert_eq!(read("4096").unwrap().whole(), Some(4096));
        assert_eq!(read("9223372036854775807").unwrap().whole(), Some(i64::MAX.unsigned_abs()));
        for text in ["9223372036854775808", "99999999999999999999", "10000000000000000000", "-1", "-0", "1.0", "1e2"] {
            assert_eq!(read(text).unwrap().whole(), None, "{text}");
        }
    }

    #[test]
    fn the_short_way_agrees_with_the_long_one() {
        for text in ["0", "7", "10", "999999999999999999", "01", "00", "", "-1", "1.5", "1e2", "1x"] {
            let short = short_whole(format!("{text},").as_bytes());
            let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let long = read(text).filter(|_| plain).and_then(|number| number.whole());
            assert_eq!(short, long.map(|value| (value, text.len())), "{text}");
            assert_eq!(short_whole(text.as_bytes()), None, "the byte after may continue {text}");
        }
        assert_eq!(short_whole(b"1234567890123456789,"), None);
    }

    #[test]
    fn the_grammar_is_the_standard_one() {
        for text in ["01", "-", "1.", "1e", "1e+", "-a", "1.e3", "00", "-01", "1.2.3", "0x10", "1_000"] {
            assert!(read(text).is_none(), "{text}");
        }
        for text in ["-0.0e-0", "10", "1E+2", "123.456e-7"] {
            assert!(read(text).is_some(), "{text}");
        }
    }
}
