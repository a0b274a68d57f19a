//! Seconds since 1970 and the text that Ollama writes for them, as RFC 3339 has it.
//!
//! The days are counted by Howard Hinnant's `days_from_civil` and `civil_from_days` (2013): years that begin in March, so
//! that the leap day is their last, in eras of 400.

const DAY_S: i64 = 86_400;
const ERA_DAYS: i64 = 146_097;

/// `None` for what is no such text, or for a time before 1970.
pub(super) fn parse(text: &str) -> Option<u64> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let [year, month, day] = numbers(date, '-')?;
    let (clock, zone) = time.split_at_checked(8)?;
    let [hour, minute, second] = numbers(clock, ':')?;
    let zone = zone.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let ahead_s = match zone.strip_prefix(['+', '-']) {
        Some(ahead) => {
            let [hours, minutes] = numbers(ahead, ':')?;
            let ahead_s = hours * 3600 + minutes * 60;
            if zone.starts_with('-') { -ahead_s } else { ahead_s }
        }
        None if zone.eq_ignore_ascii_case("z") => 0,
        None => return None,
    };
    let in_range = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    let since = days(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second - ahead_s;
    u64::try_from(since).ok().filter(|_| in_range)
}

fn numbers<const N: usize>(text: &str, separator: char) -> Option<[i64; N]> {
    let digits = |part: &str| part.len() <= 4 && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts = text.split(separator).map(|part| part.parse().ok().filter(|_| digits(part)));
    parts.collect::<Option<Vec<i64>>>()?.try_into().ok()
}

fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year.div_euclid(400) * ERA_DAYS + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

pub(super) fn format(since_s: u64) -> String {
    let since_s = i64::try_from(since_s).unwrap_or(i64::MAX - DAY_S * ERA_DAYS);
    let shifted = since_s / DAY_S + 719_468;
    let day_of_era = shifted.rem_euclid(ERA_DAYS);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = (march_month + 2) % 12 + 1;
    let year = year_of_era + shifted.div_euclid(ERA_DAYS) * 400 + i64::from(month <= 2);
    let clock = since_s % DAY_S;
    let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        for (text, since_s) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T23:59:59Z", 951_868_799),
            ("2000-03-01T00:00:00Z", 951_868_800),
            ("2024-05-24T20:26:46Z", 1_716_582_406),
            ("2100-12-31T12:00:00Z", 4_133_937_600),
        ] {
            assert_eq!(parse(text), Some(since_s), "{text}");
            assert_eq!(format(since_s), text);
        }
    }

    #[test]
    fn fractions_and_zones_are_understood_and_nonsense_is_not() {
        assert_eq!(parse("2024-05-24T20:26:46.294874Z"), Some(1_716_582_406));
        assert_eq!(parse("2024-05-24T22:26:46.2+02:00"), Some(1_716_582_406));
        assert_eq!(parse("2024-05-24T13:26:46-07:00"), Some(1_716_582_406));
        for text in
            ["", "yesterday", "2024-05-24", "2024-13-24T20:26:46Z", "2024-05-24T20:26:46", "1969-12-31T23:59:59Z"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
