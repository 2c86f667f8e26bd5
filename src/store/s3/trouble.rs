//! Why an S3 service did not do what it was asked, as a person must know it to act.

use std::error::Error as StdError;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::store::Outlook;

type Source = Box<dyn StdError + Send + Sync>;

/// See the module. Holds what the service said, never a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    #[error("the certificates to trust cannot be used")]
    Certificates { source: Source },
    #[error("cannot reach the service")]
    Unreachable { source: Source },
    #[error("the service's certificate is not one to trust")]
    Untrusted { source: Source },
    #[error("the service did not answer in time")]
    Timeout { source: Source },
    #[error("the service has no such bucket")]
    NoBucket,
    #[error("the service does not accept the keys ({code})")]
    Keys { code: String },
    #[error("the keys are not allowed to do this ({status} {code})")]
    Denied { status: u16, code: String },
    #[error("the clock of this machine is too far from the service's")]
    Clock,
    #[error("the bucket is in another region or elsewhere ({status} {code}: {message})")]
    Elsewhere { status: u16, code: String, message: String },
    #[error("the service refused ({status} {code}: {message})")]
    Refused { status: u16, code: String, message: String },
    /// Others write the same object at this very moment.
    #[error("others write the same object all the time")]
    Conflict,
    #[error("the answer broke off after {got} of {of} bytes")]
    Cut { got: u64, of: u64, source: Source },
    #[error("the service's answer is none of S3's: {what}")]
    Answer { what: String },
    #[error("the request cannot be made")]
    Request { source: Source },
}

impl Trouble {
    /// Whether the service may say something else later, nobody having mended anything.
    pub(in crate::store) fn outlook(&self) -> Outlook {
        match self {
            Self::Certificates { .. }
            | Self::Untrusted { .. }
            | Self::NoBucket
            | Self::Keys { .. }
            | Self::Denied { .. }
            | Self::Clock
            | Self::Elsewhere { .. } => Outlook::Lasting,
            _ => Outlook::Passing,
        }
    }

    pub(super) fn answer(what: impl Into<String>) -> Self {
        Self::Answer { what: what.into() }
    }

    /// What a failed request means, whatever object it was for.
    pub(super) fn of<E>(error: SdkError<E, HttpResponse>) -> Self
    where
        E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
    {
        if let SdkError::ServiceError(refused) = &error {
            let status = refused.raw().status().as_u16();
            let said = refused.err().meta();
            return Self::of_refusal(status, said.code(), said.message());
        }
        let timed_out = matches!(&error, SdkError::TimeoutError(_))
            || matches!(&error, SdkError::DispatchFailure(failure) if failure.is_timeout());
        let kind = match &error {
            _ if timed_out => |source| Self::Timeout { source },
            SdkError::DispatchFailure(_) if distrusts(&error) => {
                |source| Self::Untrusted { source }
            }
            SdkError::DispatchFailure(_) => |source| Self::Unreachable { source },
            SdkError::ResponseError(_) => |source: Source| Self::answer(told(&*source)),
            _ => |source| Self::Request { source },
        };
        kind(error.into_source().unwrap_or_else(Source::from))
    }

    fn of_refusal(status: u16, code: Option<&str>, message: Option<&str>) -> Self {
        let code = shortened(code.unwrap_or("no code"));
        let message = shortened(message.unwrap_or("no reason given"));
        match (status, code.as_str()) {
            (200..=299, _) => Self::answer(format!("{status} with an error inside it ({code})")),
            (_, "NoSuchBucket") => Self::NoBucket,
            (_, "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken") => {
                Self::Keys { code }
            }
            (_, "RequestTimeTooSkewed") => Self::Clock,
            (_, "ConditionalRequestConflict" | "OperationAborted") => Self::Conflict,
            (301 | 307, _)
            | (_, "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException") => {
                Self::Elsewhere { status, code, message }
            }
            (401 | 403, _) => Self::Denied { status, code },
            _ => Self::Refused { status, code, message },
        }
    }

    /// Whether the same request may well succeed a moment later. What the client itself has tried
    /// again already does not count.
    pub(super) fn passes(&self) -> bool {
        matches!(
            self,
            Self::Conflict
                | Self::Cut { .. }
                | Self::Answer { .. }
                | Self::Refused { status: 429, .. }
        )
    }

    /// Whether the service may have carried the request out all the same.
    pub(super) fn is_open(&self) -> bool {
        match self {
            Self::Timeout { .. }
            | Self::Unreachable { .. }
            | Self::Answer { .. }
            | Self::Cut { .. }
            | Self::Conflict => true,
            Self::Refused { status, .. } => *status >= 500,
            _ => false,
        }
    }
}

/// An error with its causes on one line.
fn told(error: &(dyn StdError + 'static)) -> String {
    shortened(&crate::ground::causes::chain(error))
}

/// Whoever answers may answer anything: as much of it as fits on a line.
fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}

/// Whether a certificate was refused.
fn distrusts(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(link) = next {
        if let Some(rustls::Error::InvalidCertificate(_)) = link.downcast_ref() {
            return true;
        }
        // An I/O error hides what it holds from `source`, and may hold another of its kind.
        let inside = link.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match inside {
            Some(inside) => Some(inside),
            None => link.source(),
        };
    }
    false
}
