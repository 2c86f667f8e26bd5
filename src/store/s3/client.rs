//! The client: certificates, time limits, retries, checksums.

use std::time::Duration;

use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::{TimeoutConfig, TimeoutConfigBuilder};
use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    StalledStreamProtectionConfig,
};
use aws_sdk_s3::{Client, Config};
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use secrecy::ExposeSecret;

use super::{Service, Trouble, Waiting};

const CONNECT: Duration = Duration::from_secs(10);
/// How long the answer to a request without a body to speak of may be waited for.
const ANSWER: Duration = Duration::from_secs(15);
/// A service may have to look at many objects before it lists a page of them.
const PAGE: Duration = Duration::from_secs(30);
/// So many bytes are no body to speak of.
const SMALL: u64 = 64 << 10;
/// What a transfer may take beyond the time that its bytes need.
const TRANSFER: Duration = Duration::from_secs(60);
/// Bytes a second below which a transfer is given up.
const SLOWEST: u64 = 64 << 10;
/// A transfer of which nothing arrives for so long has died.
const STALLED: Duration = Duration::from_secs(30);
/// Attempts of a request that the service did not answer, or answered with a passing refusal. The
/// pauses between them are random, up to half a second, then twice as long each time.
const ATTEMPTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How long moving so many bytes may take.
pub(super) fn patience(bytes: u64) -> Duration {
    TRANSFER + Duration::from_secs(bytes / SLOWEST)
}

/// The time limits of a request that carries so many bytes.
pub(super) fn limits(bytes: u64) -> TimeoutConfigBuilder {
    within(if bytes <= SMALL { ANSWER } else { patience(bytes) })
}

/// The time limits of a request for a page of a listing.
pub(super) fn limits_of_page() -> TimeoutConfigBuilder {
    within(PAGE)
}

/// One attempt may take so long. All together may take twice as long and half a minute: a service
/// that takes connections and says nothing is given up within a minute when it is asked first.
fn within(attempt: Duration) -> TimeoutConfigBuilder {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(attempt)
        .operation_timeout(attempt * 2 + Duration::from_secs(30))
}

pub(super) fn build(service: &Service, waiting: Waiting) -> Result<Client, Trouble> {
    let plain = service.endpoint.as_ref().is_some_and(|url| url.starts_with("http://"));
    let trusted = match &service.ca {
        Some(pem) => TrustStore::empty().with_pem_certificate(checked(pem)?),
        None => TrustStore::empty().with_native_roots(!plain),
    };
    let tls = TlsContext::builder().with_trust_store(trusted).build();
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .tls_context(tls.map_err(|error| Trouble::Certificates { source: error.into() })?)
        .build_https();
    let keys = Credentials::new(
        service.access_key.expose_secret(),
        service.secret_key.expose_secret(),
        None,
        None,
        "lifeboat",
    );
    let mut config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(http)
        .credentials_provider(keys)
        .region(Region::new(service.region.clone()))
        .timeout_config(limits(0).build())
        .interceptor(waiting)
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(ATTEMPTS)
                .with_initial_backoff(FIRST_PAUSE)
                .with_max_backoff(LONGEST_PAUSE),
        )
        .stalled_stream_protection(
            StalledStreamProtectionConfig::enabled().grace_period(STALLED).build(),
        )
        // Every put carries our own checksum; the client's own choice is one that services other
        // than AWS do not know.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    if let Some(endpoint) = &service.endpoint {
        config = config.endpoint_url(endpoint).force_path_style(true);
    }
    Ok(Client::from_conf(config.build()))
}

/// `pem`, if it holds certificates and nothing broken: the client would panic on the others.
fn checked(pem: &[u8]) -> Result<&[u8], Trouble> {
    let broken =
        |source: Box<dyn std::error::Error + Send + Sync>| Trouble::Certificates { source };
    let mut trusted = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| broken(error.into()))?;
        trusted.add(certificate).map_err(|error| broken(error.into()))?;
    }
    if trusted.is_empty() {
        return Err(broken("there is no certificate in it".into()));
    }
    Ok(pem)
}
