//! Text that goes into TOML or to a shell: whatever a name holds, it stays one value.

/// A TOML string.
pub(super) fn toml(value: &str) -> String {
    toml::Value::String(value.to_owned()).to_string()
}

/// A word of a shell (POSIX, 2.2.2), quoted where it must be.
pub(super) fn shell(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@=,%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_every_word() {
        for word in ["plain/path-1.sql", "", "a b", "it's", "$(reboot)", "`x`\\", "new\nline", "~"]
        {
            let script = format!("printf %s {}", shell(word));
            let said = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(said.stdout).unwrap(), word);
        }
    }

    #[test]
    fn toml_reads_back_every_value() {
        for value in ["a\"b", "line\nend\u{1b}[2J", "\u{202e}turned", "back\\slash", "'''"] {
            let read: toml::Table = format!("key = {}", toml(value)).parse().unwrap();
            assert_eq!(read["key"].as_str(), Some(value));
        }
    }
}
