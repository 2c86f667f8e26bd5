//! Telling people what a command waits for: a service that has to be asked again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;

/// Many requests wait at once, and one line tells of all of them.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// The header in which the client counts its attempts: `attempt=2; max=5`.
const ATTEMPT: &str = "amz-sdk-request";

/// Logs that a request is made once more. Clones share when that was said last.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    place: String,
    told: Arc<Mutex<Option<Instant>>>,
}

impl Waiting {
    /// For the requests to the bucket at `place`.
    pub(super) fn new(place: String) -> Self {
        Self { place, told: Arc::default() }
    }

    /// Attempt number `attempt` is about to be made.
    pub(super) fn tell(&self, attempt: u32) {
        let now = Instant::now();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|told| now.duration_since(told) >= TELL_EVERY) {
            *told = Some(now);
            let store = &self.place;
            tracing::warn!(store, attempt, "the store did not do what it was asked: asking again");
        }
    }
}

impl Intercept for Waiting {
    fn name(&self) -> &'static str {
        "Waiting"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let counted = context.request().headers().get(ATTEMPT);
        if let Some(attempt) = counted.and_then(number).filter(|attempt| *attempt > 1) {
            self.tell(attempt);
        }
        Ok(())
    }
}

/// The attempt's number.
fn number(header: &str) -> Option<u32> {
    header.split("; ").find_map(|pair| pair.strip_prefix("attempt="))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn attempts_are_read_as_the_client_writes_them() {
        assert_eq!(number("attempt=1; max=5"), Some(1));
        assert_eq!(number("ttl=20261125T235959Z; attempt=12; max=50"), Some(12));
        assert_eq!(number("max=5"), None);
    }
}
