//! `lifeboat verify`: are the stored bytes intact?

use crate::policy::PolicyName;

/// Verify the repository behind a policy: everything that snapshots refer to is there
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Policy whose repository to verify: POLICY or CUSTOMER/POLICY
    policy: PolicyName,
    /// Read every pack, and check every blob against its name
    #[arg(long, conflicts_with = "read_data_subset")]
    read_data: bool,
    /// Read this share of the packs, drawn at random: 0.1% to 100%
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    read_data_subset: Option<f64>,
}

fn percent(text: &str) -> Result<f64, &'static str> {
    let expected = "expected a percentage above 0% and up to 100%, e.g. 5%";
    let number = text.strip_suffix('%').ok_or(expected)?;
    let percent: f64 = number.parse().map_err(|_| expected)?;
    if percent > 0.0 && percent <= 100.0 { Ok(percent) } else { Err(expected) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_percentage_that_reads_something() {
        assert_eq!(percent("5%"), Ok(5.0));
        for text in ["5", "0%", "101%", "-1%", "NaN%", "all%", "%"] {
            assert!(percent(text).is_err(), "{text}");
        }
    }
}
