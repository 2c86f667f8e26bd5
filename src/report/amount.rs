//! Amounts as people read them. Both languages show the same digits.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::texts::Texts;

/// `48,210`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// `850 ms`, `12.3 s`, `4 min 5 s`, `3 h 12 min`; nothing above a tenth of a second is rounded
/// away, so that a time just over its objective never looks equal to it.
pub(super) fn duration(milliseconds: u64, texts: &Texts) -> String {
    let [millisecond, second, minute, hour, day] = texts.units_of_time;
    if milliseconds < 1000 {
        return format!("{milliseconds} {millisecond}");
    }
    let tenths = milliseconds.div_ceil(100);
    if tenths < 600 {
        return format!("{}.{} {second}", tenths / 10, tenths % 10);
    }
    let seconds = milliseconds.div_ceil(1000);
    let parts = [
        (seconds / 86_400, day),
        (seconds / 3600 % 24, hour),
        (seconds / 60 % 60, minute),
        (seconds % 60, second),
    ];
    let shown: Vec<_> = parts
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, unit)| format!("{number} {unit}"))
        .collect();
    shown.join(" ")
}

/// `2026-11-22 03:00:00 UTC`.
pub(super) fn utc(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// `2026-11-22 11:00:00 +08:00 (Asia/Shanghai)`; None where the zone is unknown here or UTC.
pub(super) fn local(time: Timestamp, zone: &str) -> Option<String> {
    if matches!(zone, "UTC" | "Etc/UTC" | "") {
        return None;
    }
    let known = TimeZone::get(zone).ok()?;
    Some(format!("{} ({zone})", time.to_zoned(known).strftime("%Y-%m-%d %H:%M:%S %:z")))
}

#[cfg(test)]
mod tests {
    use super::super::{en, zh};
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn durations_keep_what_decides_an_objective() {
        let shown = [850, 12_340, 245_000, 2_700_001, 11_520_000, 90_000_000]
            .map(|ms| duration(ms, &en::TEXTS));
        assert_eq!(shown, ["850 ms", "12.4 s", "4 min 5 s", "45 min 1 s", "3 h 12 min", "1 d 1 h"]);
        assert_eq!(duration(245_000, &zh::TEXTS), "4 分 5 秒");
    }

    #[test]
    fn a_time_is_told_in_utc_and_in_the_customers_zone() {
        let time: Timestamp = "2026-11-22T03:00:00.25Z".parse().unwrap();

        assert_eq!(utc(time), "2026-11-22 03:00:00 UTC");
        assert_eq!(local(time, "Atlantis/Capital"), None);
        if TimeZone::get("Asia/Shanghai").is_ok() {
            let told = local(time, "Asia/Shanghai").unwrap();
            assert_eq!(told, "2026-11-22 11:00:00 +08:00 (Asia/Shanghai)");
        }
    }
}
