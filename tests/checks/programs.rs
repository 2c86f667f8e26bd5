//! Checks by programs of the owner's: what they are shown, how they are held, and what they may say.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::bench::Bench;
use crate::check;

/// A bench whose drill has one check, by a script.
fn with(script: &str) -> Bench {
    let bench = Bench::new();
    bench.check("[[check]]\nname = \"the shop\"\nrun = [\"programs/look\", \"an argument\"]\ndeadline = \"60s\"\n");
    write(&bench, script);
    bench.backup();
    bench
}

fn write(bench: &Bench, script: &str) {
    std::fs::create_dir_all(bench.path("programs")).unwrap();
    bench.write("programs/look", format!("#!/bin/bash\n{script}\n"));
    let anybody = Permissions::from_mode(0o755);
    std::fs::set_permissions(bench.path("programs/look"), anybody).unwrap();
}

/// The exit status of the drill and its check.
fn ends(bench: &Bench) -> (i32, Value) {
    let (code, drill) = bench.drill();
    assert!(bench.leftovers().is_empty(), "{drill:#}");
    (code, check(&drill, "the shop").clone())
}

#[test]
fn a_program_sees_every_source_and_what_it_compared_is_told() {
    let bench = with(
        r#"set -e
[ "$1" = "an argument" ]
[ "$(head -c 15 "$LIFEBOAT_ORDERS_FILE")" = "SQLite format 3" ]
[ "$(cat "$LIFEBOAT_UPLOADS_FOLDER/p3.jpg" | head -c 9)" = "picture 3" ]
echo its own > "$LIFEBOAT_FOLDER/note"
echo "on standard error" >&2
echo "compared $(ls "$LIFEBOAT_UPLOADS_FOLDER"/p*.jpg | wc -l)""#,
    );

    let (code, told) = ends(&bench);

    assert_eq!(
        (code, &told["outcome"], &told["compared"]),
        (0, &"held".into(), &12.into()),
        "{told:#}"
    );
    assert_eq!((&told["source"], &told["unit"]), (&Value::Null, &"things".into()));
    for (lang, words) in [("zh", "12 项"), ("en", "12 things")] {
        let page = bench.run(&["report", "drill", "shop", "--lang", lang]).exits(0).stdout;
        assert!(page.contains(words) && page.contains("programs/look"), "{lang}");
    }
}

#[test]
fn what_a_program_finds_wrong_fails_the_drill_in_its_own_last_words() {
    let bench = with("echo 3 orders without lines; echo canary-complaint >&2; exit 1");

    let (code, told) = ends(&bench);

    assert_eq!((code, &told["outcome"]), (4, &"broke".into()), "{told:#}");
    assert_eq!(told["places"][0]["what"], "3 orders without lines");
    assert!(!told.to_string().contains("canary"), "{told:#}");
}

#[test]
fn a_program_that_compares_nothing_takes_too_long_or_is_not_there_never_passes() {
    let bench = with("true");
    for (script, word) in [
        ("echo all is well", "how much it compared"),
        ("echo compared 0", "nothing to compare"),
        ("echo the licence server is down; exit 75", "the licence server is down"),
        ("no-such-program", "cannot be run"),
        ("kill -9 $$", "killed"),
        ("sleep 100", "killed after 5 s"),
    ] {
        write(&bench, script);
        if script.starts_with("sleep") {
            bench.edit("drills/weekly.toml", "60s", "5s");
        }
        let (code, told) = ends(&bench);
        assert_eq!((code, &told["outcome"]), (5, &"not-run".into()), "{script}: {told:#}");
        let reason = told["reason"].as_str().unwrap();
        assert!(reason.contains(word), "{script}: {reason}");
    }
    bench.run(&["doctor"]).exits(0);
    std::fs::remove_file(bench.path("programs/look")).unwrap();
    let doctor = bench.run(&["doctor"]).exits(1).stdout;
    assert!(doctor.contains("FAIL  program of a check"), "{doctor}");
    let (code, told) = ends(&bench);
    assert_eq!((code, &told["outcome"]), (5, &"not-run".into()), "{told:#}");
}

#[test]
fn a_program_can_write_nothing_that_is_judged_reaches_no_host_and_no_key() {
    let bench = with("true");
    let password = bench.path("keys/repository-password");
    let canary = bench.path("canary");
    write(
        &bench,
        &format!(
            r#"fail() {{ echo "$1"; exit 1; }}
(echo x > "$LIFEBOAT_UPLOADS_FOLDER/p1.jpg") 2>/dev/null && fail "files can be written"
(echo x > "$LIFEBOAT_ORDERS_FILE") 2>/dev/null && fail "the database can be written"
[ -e {password:?} ] && fail "the key is seen"
(touch {canary:?}) 2>/dev/null && fail "the host can be written"
[ "$(id -u)" = 0 ] && fail "it is root"
(exec 3<>/dev/tcp/127.0.0.1/22) 2>/dev/null && fail "there is a network"
grep -qv "lo:\|Inter-\|face" /proc/net/dev && fail "there is an interface"
[ "$(ls /proc | grep -c '^[0-9]')" -gt 20 ] && fail "it sees other processes"
env | grep -qi "password\|secret" && fail "a secret is in its environment"
sleep 1000 & disown
echo compared 1"#
        ),
    );

    let (code, told) = ends(&bench);

    assert_eq!((code, &told["outcome"]), (0, &"held".into()), "{told:#}");
    assert!(!canary.exists());
}

#[test]
fn an_application_that_a_program_starts_answers_requests_on_a_socket_of_its_own() {
    let bench = with(
        r#"python3 -c '
import http.server, os, socketserver
class Shop(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        found = os.path.exists(os.environ["LIFEBOAT_UPLOADS_FOLDER"] + self.path)
        self.send_response(200 if found else 404); self.end_headers(); self.wfile.write(b"shop")
    def address_string(self): return "here"
socketserver.UnixStreamServer("shop.sock", Shop).serve_forever()' 2>/dev/null &
for i in $(seq 100); do [ -S shop.sock ] && break; sleep 0.1; done
ask() {
  python3 -c '
import http.client, socket, sys
shop = http.client.HTTPConnection("shop")
shop.sock = socket.socket(socket.AF_UNIX); shop.sock.connect("shop.sock")
shop.request("GET", sys.argv[1]); answer = shop.getresponse()
print(answer.status, answer.read().decode())' "$1"
}
[ "$(ask /nothing)" = "404 shop" ] || { echo "a page that is not there answers"; exit 1; }
[ "$(ask /p1.jpg)" = "200 shop" ] || { echo "the shop does not answer"; exit 1; }
echo compared 2"#,
    );

    let (code, told) = ends(&bench);

    assert_eq!((code, &told["outcome"]), (0, &"held".into()), "{told:#}");
}
