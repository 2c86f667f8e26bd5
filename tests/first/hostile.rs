//! Names that whoever runs a process or makes a file chose.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::bench::must;
use crate::servers::postgres::Server as Postgres;
use crate::{is_alone, lifeboat};

/// A Redis server with one key, at a socket called `name`; dropped, it is gone.
struct Redis(Child);

impl Redis {
    fn start(folder: &Path, name: &str) -> Self {
        let socket = folder.join(name);
        let server = Command::new("/usr/bin/redis-server")
            .args(["--port", "0", "--save", "", "--repl-diskless-sync-delay", "0", "--dir"])
            .arg(folder)
            .arg("--unixsocket")
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while !socket.exists() {
            assert!(begun.elapsed() < Duration::from_secs(30), "{name:?} is not there");
            std::thread::sleep(Duration::from_millis(20));
        }
        must(Command::new("redis-cli").arg("-s").arg(&socket).args(["SET", "key", "value"]));
        Self(server)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn names_of_sockets_break_neither_the_policy_nor_a_shell_nor_the_terminal() {
    if !is_alone("hostile::names_of_sockets_break_neither_the_policy_nor_a_shell_nor_the_terminal")
    {
        return;
    }
    let place = tempfile::Builder::new().prefix("lbodd").tempdir_in("/tmp").unwrap();
    let quoted = "it's \"here\" $(touch canary) ''' \\.sock";
    let _quoted = Redis::start(place.path(), quoted);
    let _hostile = Redis::start(place.path(), "a\nb]\u{1b}[2Jc\u{202e}.sock");
    fs::write(place.path().join("x\"\n[[source]].db"), b"SQLite format 3\0").unwrap();
    let site = place.path().join("site");
    let (site, look_in) = (site.to_str().unwrap(), place.path().to_str().unwrap());

    let told = lifeboat(&["init", site, "--discover", "--look-in", look_in]).exits(0).stdout;

    let is_shown = |c: char| c == '\n' || !(c.is_control() || c == '\u{202e}');
    assert!(told.chars().all(is_shown), "{told:?}");
    assert!(told.contains("left out:\n  a Redis server"), "{told}");
    assert!(told.contains("x\"\\n[[source]].db"), "{told}");
    let config = Path::new(site).join("lifeboat.toml");
    let with = |command: &str| lifeboat(&[command, "host", "--config", config.to_str().unwrap()]);
    let policy: toml::Table =
        fs::read_to_string(Path::new(site).join("policies/host.toml")).unwrap().parse().unwrap();
    let sources = policy["source"].as_array().unwrap();
    assert_eq!(sources.len(), 1, "{sources:?}");
    assert_eq!(sources[0]["host"].as_str(), place.path().join(quoted).to_str());
    with("backup").exits(0);
    with("drill").exits(0);
    assert!(!place.path().join("canary").exists());
}

#[test]
fn an_ordinary_user_finds_what_is_called_as_usual_and_is_told_of_the_rest() {
    if !is_alone("hostile::an_ordinary_user_finds_what_is_called_as_usual_and_is_told_of_the_rest")
    {
        return;
    }
    let place = tempfile::Builder::new().prefix("lbuser").tempdir_in("/tmp").unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    fs::set_permissions(place.path(), open).unwrap();
    let _customers = Postgres::start(15);
    let _odd = Redis::start(place.path(), "s");
    let binary = place.path().join("lifeboat");
    fs::copy(env!("CARGO_BIN_EXE_lifeboat"), &binary).unwrap();
    let site = place.path().join("site");

    let told = must(
        Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
            .arg(&binary)
            .args(["init", site.to_str().unwrap(), "--discover"])
            .env_clear()
            .env("HOME", place.path())
            .env("PATH", "/usr/bin:/bin"),
    );

    let policy = fs::read_to_string(site.join("policies/host.toml")).unwrap();
    assert!(policy.contains("kind = \"postgres\"") && policy.contains("user = \"nobody\""));
    assert!(!policy.contains("redis"), "{policy}");
    assert!(told.contains("whose sockets only its user and root may see"), "{told}");
    assert!(told.contains("sudo -u postgres psql "), "{told}");
}
