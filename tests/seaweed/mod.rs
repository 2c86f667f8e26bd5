//! One SeaweedFS for each test program: a real S3 service on loopback, in a folder of its own.
//!
//! Whoever asks first starts it. A guardian holds the other end of a pipe: when the test program
//! ends, however it ends, the guardian ends the server and removes its folder.
#![allow(dead_code, reason = "each test program uses the part of the server that it needs")]

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};

/// Who may do everything.
pub const ADMIN: Keys = Keys { access: "bench", secret: "canary-s3-secret-of-the-bench" };

/// How long a server may take to start on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(90);

/// An access key and its secret.
#[derive(Debug, Clone, Copy)]
pub struct Keys {
    pub access: &'static str,
    pub secret: &'static str,
}

/// A server that runs until the test program ends.
pub struct Seaweed {
    port: u16,
    server: Mutex<Child>,
    /// Its standard input is the pipe that the guardian waits at.
    _guardian: Child,
}

/// The server of this test program.
pub fn seaweed() -> &'static Seaweed {
    static SERVER: OnceLock<Seaweed> = OnceLock::new();
    SERVER.get_or_init(|| Seaweed::start(&identities(), &[]))
}

/// Who may do nothing but what a bucket's policy allows.
pub const GRANTED: Keys = Keys { access: "granted", secret: "canary-s3-secret-of-the-granted" };

/// How a policy names [`GRANTED`].
pub const PRINCIPAL: &str = "arn:aws:iam::000000000000:user/granted";

pub fn identities() -> serde_json::Value {
    let all = ["Admin", "Read", "Write", "List"];
    serde_json::json!({ "identities": [identity(ADMIN, &all), identity(GRANTED, &[])] })
}

/// An identity as SeaweedFS declares it.
pub fn identity(keys: Keys, actions: &[&str]) -> serde_json::Value {
    serde_json::json!({
        "name": keys.access,
        "credentials": [{ "accessKey": keys.access, "secretKey": keys.secret }],
        "actions": actions,
    })
}

impl Seaweed {
    /// Starts a server that knows `identities`; `more` are further arguments.
    pub fn start(identities: &serde_json::Value, more: &[String]) -> Self {
        // Between finding a free port and using it somebody else may take it.
        (0..3).find_map(|_| Self::attempt(identities, more)).expect("SeaweedFS starts")
    }

    fn attempt(identities: &serde_json::Value, more: &[String]) -> Option<Self> {
        let folder = tempfile::Builder::new().prefix("lifeboat-seaweed-").tempdir().unwrap().keep();
        let config = folder.join("s3.json");
        std::fs::write(&config, identities.to_string()).unwrap();
        let ports = free_ports::<8>();
        let names = [
            "s3.port",
            "s3.port.grpc",
            "master.port",
            "master.port.grpc",
            "volume.port",
            "volume.port.grpc",
            "filer.port",
            "filer.port.grpc",
        ];
        let server = Command::new(weed())
            .args(["server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3"])
            .arg(format!("-dir={}", folder.display()))
            .arg(format!("-s3.config={}", config.display()))
            .args(names.iter().zip(ports).map(|(name, port)| format!("-{name}={port}")))
            .args(["-s3.autoCreateBucket=false", "-s3.port.iceberg=0", "-s3.port.lance=0"])
            .args(["-master.volumeSizeLimitMB=64", "-volume.max=0", "-master.telemetry=false"])
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (port, guardian) = (ports[0], guardian(&server, &folder));
        let started = Self { port, server: Mutex::new(server), _guardian: guardian };
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(begun.elapsed() < PATIENCE, "SeaweedFS does not listen");
            if started.server.lock().unwrap().try_wait().unwrap().is_some() {
                return None;
            }
            pause();
        }
        started.wait_until_it_stores();
        Some(started)
    }

    fn wait_until_it_stores(&self) {
        let begun = Instant::now();
        while !self.can_store() {
            assert!(begun.elapsed() < PATIENCE, "SeaweedFS does not store");
            pause();
        }
    }

    /// Before its parts have found each other the service answers, and stores nothing.
    fn can_store(&self) -> bool {
        let client = self.client();
        wait_for(async move {
            let _ = client.create_bucket().bucket("first").send().await;
            client.put_object().bucket("first").key("first").send().await.is_ok()
        })
    }

    /// `http://127.0.0.1:PORT`
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// A new bucket, named by the test.
    pub fn bucket(&self, name: &str) -> String {
        let (client, bucket) = (self.client(), name.to_owned());
        wait_for(async move { client.create_bucket().bucket(bucket).send().await.map(drop) })
            .unwrap();
        name.to_owned()
    }

    /// A client that may do everything.
    pub fn client(&self) -> Client {
        self.client_of(ADMIN)
    }

    pub fn client_of(&self, keys: Keys) -> Client {
        let keys = Credentials::new(keys.access, keys.secret, None, None, "tests");
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .credentials_provider(keys)
            .region(Region::from_static("us-east-1"))
            .endpoint_url(self.endpoint())
            .force_path_style(true);
        Client::from_conf(config.build())
    }
}

/// Ends the server `$1` and removes its folder `$2` once its standard input ends. A server that is
/// dying may still write into a folder that is being removed.
const GUARDIAN: &str = r#"
cat >/dev/null
kill -9 "$1"
for _ in 1 2 3 4 5; do
    rm -rf "$2" 2>/dev/null && exit
    sleep 1
done
"#;

fn guardian(server: &Child, folder: &Path) -> Child {
    Command::new("sh")
        .args(["-c", GUARDIAN, "guardian", &server.id().to_string()])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Ports that nobody listens at now.
pub fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

fn weed() -> PathBuf {
    let folder = std::env::var_os("LIFEBOAT_TEST_TOOLS")
        .expect("LIFEBOAT_TEST_TOOLS names the folder that tests/tools filled; run tests/run");
    let path = PathBuf::from(folder).join("seaweedfs/bin/weed");
    assert!(path.exists(), "{} is missing: run tests/tools", path.display());
    path
}

fn pause() {
    std::thread::sleep(Duration::from_millis(100));
}

/// Runs a future to its end on a thread of its own: tests may be in a runtime already.
pub fn wait_for<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    std::thread::spawn(|| {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
    })
    .join()
    .unwrap()
}
