//! An error with its causes as one line, for records and outcomes.

use std::error::Error;

/// `error`, its cause, that one's cause, …, joined by colons. Errors hold no secrets, so neither
/// does this.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        // A transparent error says what its source says.
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot store pack")]
    struct Outer(#[source] std::fmt::Error);

    #[test]
    fn causes_follow_their_error() {
        let text = chain(&Outer(std::fmt::Error));

        assert!(text.starts_with("cannot store pack: an error occurred"), "{text}");
    }
}
