//! Everything through the built binary on a real S3 service, and stock restic on the same bucket.

mod bench;
mod proxy;
mod seaweed;

use std::path::Path;
use std::process::Command;

use bench::{Bench, Ran, contents, must, new_restic, old_restic};
use proxy::Proxy;
use seaweed::{ADMIN, GRANTED, PRINCIPAL, Seaweed, free_ports, identities, seaweed, wait_for};

/// A site whose store is a folder of a new bucket.
fn on_s3(bucket: &str) -> Bench {
    seaweed().bucket(bucket);
    let bench = Bench::new();
    bench.move_to_bucket(&seaweed().endpoint(), bucket, ADMIN.access, ADMIN.secret);
    bench
}

/// A restic command on the repository of a bench's customer.
fn restic(program: &Path, bench: &Bench, bucket: &str) -> Command {
    let mut command = Command::new(program);
    command
        .arg("-r")
        .arg(format!("s3:{}/{bucket}/lifeboat/acme/repo", seaweed().endpoint()))
        .arg("--password-file")
        .arg(bench.path("keys/repository-password"))
        .arg("--no-cache")
        .env("AWS_ACCESS_KEY_ID", ADMIN.access)
        .env("AWS_SECRET_ACCESS_KEY", ADMIN.secret)
        .env("HOME", bench.path("."));
    command
}

#[test]
fn a_policy_is_backed_up_restored_verified_and_drilled_in_a_bucket() {
    let bench = on_s3("whole-story");
    bench.edit("drills/weekly.toml", "controls = true", "controls = true\nindependent = true");

    bench.run(&["doctor", "shop"]).exits(0);
    let missing = bench.run(&["restore", "shop", "--to", "nowhere"]).exits(10);
    assert!(missing.stderr.contains("there is no repository in s3:http://"), "{}", missing.stderr);
    let first = bench.backup();
    bench.sql("UPDATE orders SET cents = 1 WHERE id = 7");
    let second = bench.backup();
    assert!(second["added_bytes"].as_u64() < first["added_bytes"].as_u64(), "{second}");

    let snapshots = bench.run(&["snapshots", "shop", "--json"]).exits(0).json();
    assert_eq!(snapshots.as_array().unwrap().len(), 2);
    bench.run(&["restore", "shop", "--to", "back", "--source", "uploads"]).exits(0);
    let below = bench.path("data/files").display().to_string();
    let restored = bench.path(&format!("back/uploads{below}"));
    assert_eq!(contents(&restored), contents(&bench.path("data/files")));
    let verified = bench.run(&["verify", "shop", "--read-data", "--json"]).exits(0).json();
    assert_eq!(verified["errors"].as_array().unwrap().len(), 0, "{verified}");
    let (code, drilled) = bench.drill();
    assert_eq!((code, drilled["verdict"].as_str()), (0, Some("pass")), "{drilled}");
    assert_eq!(drilled["independent"]["by"], "restic 0.14.0", "{drilled}");
    let ledger = bench.run(&["ledger", "verify", "acme", "--json"]).exits(0).json();
    assert_eq!(ledger["ok"], true, "{ledger}");
    let status = bench.run(&["status", "--json"]).exits(0).json();
    assert_eq!(status[0]["last_backup"]["snapshot"], second["snapshot"]);
    assert_eq!(status[0]["last_drill"]["verdict"], "pass");
    assert!(bench.leftovers().is_empty());
}

/// Requests cost money and, far away, time. Each has its reason in docs/performance.md.
#[test]
fn a_run_makes_no_more_requests_than_it_has_reasons_for() {
    let bench = on_s3("counted");
    let proxy = Proxy::start(seaweed().port(), |_| ());
    bench.edit("lifeboat.toml", &seaweed().endpoint(), &proxy.endpoint());
    let requests_of = |command: &[&str]| {
        bench.run(command).exits(0);
        proxy.requests()
    };

    let first = requests_of(&["backup", "shop"]);
    let unchanged = requests_of(&["backup", "shop"]);
    let restore = requests_of(&["restore", "shop", "--to", "back"]);
    let verify = requests_of(&["verify", "shop", "--read-data"]);

    let made =
        [("first", first), ("unchanged", unchanged), ("restore", restore), ("verify", verify)];
    for ((step, made), most) in made.into_iter().zip([21, 21, 25, 26]) {
        assert!(made <= most, "{step}: {made} requests, at most {most} have a reason");
    }
}

#[test]
fn stock_restic_checks_and_restores_what_lifeboat_wrote_to_a_bucket() {
    let bench = on_s3("for-restic");
    bench.backup();
    let live = contents(&bench.path("data/files"));

    for (program, target) in [(old_restic(), "from-0.14"), (new_restic(), "from-0.19")] {
        must(restic(&program, &bench, "for-restic").args(["check", "--read-data"]));
        let to = bench.path(target);
        must(
            restic(&program, &bench, "for-restic").args(["restore", "latest", "--target"]).arg(&to),
        );
        let below = bench.path("data/files").display().to_string();
        assert_eq!(contents(&bench.path(&format!("{target}/uploads{below}"))), live, "{target}");
    }
}

#[test]
fn a_repository_that_restic_made_in_a_bucket_is_adopted() {
    let bench = on_s3("adopted");
    must(restic(&new_restic(), &bench, "adopted").arg("init"));
    must(restic(&old_restic(), &bench, "adopted").arg("backup").arg(bench.path("data/files")));

    bench.backup();

    let snapshots = bench.run(&["snapshots", "--json"]).exits(0).json();
    assert_eq!(snapshots.as_array().unwrap().len(), 2);
    let theirs = snapshots.as_array().unwrap().iter().find(|one| one["policy"].is_null()).unwrap();
    let id = theirs["id"].as_str().unwrap();
    bench.run(&["restore", "shop", "--snapshot", id, "--to", "back"]).exits(0);
    let below = bench.path("data/files").display().to_string();
    let restored = contents(&bench.path(&format!("back{below}")));
    assert_eq!(restored, contents(&bench.path("data/files")));
    must(restic(&new_restic(), &bench, "adopted").args(["check", "--read-data"]));
    let (code, drilled) = bench.drill();
    assert_eq!(code, 0, "{drilled}");
}

#[test]
fn wrong_keys_a_missing_bucket_and_a_service_that_is_away_are_told_with_what_to_do() {
    let bench = on_s3("mistakes");
    let keys = bench.path("keys/s3-secret");
    let hint_of = |ran: Ran| {
        let line = ran.stderr.lines().rfind(|line| line.starts_with('{')).unwrap_or_default();
        let error: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
        (error["error"].as_str().unwrap_or(&ran.stderr).to_owned(), error["hint"].to_string())
    };

    bench.write("keys/s3-secret", "canary-wrong-secret".into());
    let wrong = bench.run(&["backup", "shop", "--json"]).exits(1);
    assert!(!wrong.stderr.contains("canary"), "{}", wrong.stderr);
    let (error, hint) = hint_of(wrong);
    assert!(error.contains("does not accept the keys (SignatureDoesNotMatch)"), "{error}");
    assert!(hint.contains("secret_key"), "{hint}");

    std::fs::remove_file(&keys).unwrap();
    let (error, _) = hint_of(bench.run(&["backup", "shop", "--json"]).exits(1));
    assert!(error.contains("cannot read the keys to s3://mistakes/lifeboat"), "{error}");

    bench.write("keys/s3-secret", ADMIN.secret.into());
    bench.edit("lifeboat.toml", "s3://mistakes", "s3://no-such-bucket");
    let (error, hint) = hint_of(bench.run(&["backup", "shop", "--json"]).exits(1));
    assert!(
        error.contains("no such bucket") && hint.contains("makes no buckets"),
        "{error} {hint}"
    );

    bench.edit("lifeboat.toml", &seaweed().endpoint(), "http://127.0.0.1:1");
    let (error, hint) = hint_of(bench.run(&["backup", "shop", "--json"]).exits(1));
    assert!(error.contains("cannot reach the service"), "{error}");
    assert!(hint.contains("endpoint"), "{hint}");
    bench.run(&["doctor", "shop"]).exits(1);
}

#[test]
fn the_secret_key_is_nowhere_in_logs_state_ledger_or_repository() {
    let bench = on_s3("secrets");
    bench.run(&["backup", "shop", "-vvv"]).exits(0);

    let ran = bench.run(&["drill", "shop", "-vvv", "--json"]).exits(0);

    assert!(!ran.stderr.contains(ADMIN.secret), "the secret key is in the log");
    for file in bench.files("state") {
        let bytes = std::fs::read(&file).unwrap();
        let has = bytes.windows(ADMIN.secret.len()).any(|part| part == ADMIN.secret.as_bytes());
        assert!(!has, "{}", file.display());
    }
    let log = bench.run(&["ledger", "log", "acme", "--json"]).exits(0);
    assert!(
        !log.stdout.contains(ADMIN.secret) && log.stdout.contains("s3-secret"),
        "{}",
        log.stdout
    );
}

/// A certificate for 127.0.0.1, with its key, and the one that vouches for it.
fn certificates(bench: &Bench) {
    let script = r#"
cd "$1" || exit 1
key="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
openssl req -x509 $key -days 2 -subj /CN=bench-ca -keyout ca.key -out ca.pem \
    -addext basicConstraints=critical,CA:TRUE
openssl req $key -subj /CN=s3 -keyout s3.key -out s3.csr
echo subjectAltName=IP:127.0.0.1 >names
openssl x509 -req -in s3.csr -days 2 -CA ca.pem -CAkey ca.key -CAcreateserial -extfile names \
    -out s3.pem
"#;
    must(Command::new("bash").args(["-ec", script, "certificates"]).arg(bench.path("keys")));
}

#[test]
fn a_private_certificate_is_trusted_only_where_the_site_says_who_vouches_for_it() {
    let bench = Bench::new();
    certificates(&bench);
    let [port] = free_ports();
    let more = [
        format!("-s3.port.https={port}"),
        format!("-s3.cert.file={}", bench.path("keys/s3.pem").display()),
        format!("-s3.key.file={}", bench.path("keys/s3.key").display()),
    ];
    let service = Seaweed::start(&identities(), &more);
    let bucket = service.bucket("encrypted");
    bench.move_to_bucket(&format!("https://127.0.0.1:{port}"), &bucket, ADMIN.access, ADMIN.secret);

    let distrusted = bench.run(&["backup", "shop"]).exits(1);
    let told = &distrusted.stderr;
    assert!(told.contains("certificate is not one to trust"), "{told}");
    assert!(told.contains("the store's `ca` in the site file"), "{told}");

    let keys = "secret_key = { file = \"keys/s3-secret\" }";
    bench.edit("lifeboat.toml", keys, &format!("{keys}\nca = \"keys/s3.csr\""));
    let broken = bench.run(&["backup", "shop"]).exits(1);
    assert!(broken.stderr.contains("there is no certificate in it"), "{}", broken.stderr);

    bench.edit("lifeboat.toml", "keys/s3.csr", "keys/ca.pem");
    bench.backup();
    let (code, drilled) = bench.drill();
    assert_eq!(code, 0, "{drilled}");
}

/// Lets [`GRANTED`] do what `lifeboat grants` prints for a kind of host, and the bench be it.
fn grant(bench: &Bench, bucket: &str, host: &str) {
    let arguments = ["grants", "shop", "--for", host, "--principal", PRINCIPAL, "--json"];
    let printed = bench.run(&arguments).exits(0).json();
    let policy = printed["store"]["bucket_policy"].to_string();
    bench.write("keys/s3-id", GRANTED.access.into());
    bench.write("keys/s3-secret", GRANTED.secret.into());
    let (administrator, granted) = (seaweed().client(), seaweed().client_of(GRANTED));
    let bucket = bucket.to_owned();
    wait_for(async move {
        // The first time there is none.
        let _ = administrator.delete_bucket_policy().bucket(&bucket).send().await;
        // Its parts learn of it one after the other.
        let mut allowed = true;
        while allowed {
            let list = granted.list_objects_v2().bucket(&bucket).prefix("lifeboat/acme/");
            allowed = list.send().await.is_ok();
        }
        administrator.put_bucket_policy().bucket(&bucket).policy(policy).send().await.unwrap();
        while !allowed {
            let list = granted.list_objects_v2().bucket(&bucket).prefix("lifeboat/acme/");
            allowed = list.send().await.is_ok();
        }
    });
}

/// Asserts that [`GRANTED`] may not do what no host needs.
fn nothing_more_is_allowed(bucket: &str, may_put: bool) {
    let (administrator, granted) = (seaweed().client(), seaweed().client_of(GRANTED));
    let bucket = bucket.to_owned();
    wait_for(async move {
        let list = administrator.list_objects_v2().bucket(&bucket).send().await.unwrap();
        for key in list.contents().iter().filter_map(|object| object.key()) {
            if !key.contains("/locks/") {
                let deleted = granted.delete_object().bucket(&bucket).key(key).send().await;
                assert!(deleted.is_err(), "{key} could be deleted");
            }
        }
        let put = |key| granted.put_object().bucket(&bucket).key(key).send();
        assert!(
            put("lifeboat/umbrella/repo/config").await.is_err(),
            "another customer's was written"
        );
        assert!(put("elsewhere").await.is_err());
        assert_eq!(put("lifeboat/acme/repo/data/00/x").await.is_ok(), may_put);
        let list = |prefix| granted.list_objects_v2().bucket(&bucket).prefix(prefix).send();
        assert!(list("lifeboat/umbrella/").await.is_err(), "another customer's were listed");
        assert!(list("").await.is_err(), "all customers were listed");
        let get = granted.get_object().bucket(&bucket).key("lifeboat/umbrella/repo/config");
        assert!(get.send().await.is_err(), "another customer's was read");
    });
}

#[test]
fn the_printed_bucket_policy_is_enough_for_each_kind_of_host_and_no_more() {
    let bench = on_s3("least-privilege");

    grant(&bench, "least-privilege", "backup");
    bench.run(&["doctor", "shop"]).exits(0);
    bench.backup();
    bench.sql("UPDATE orders SET cents = 1 WHERE id = 7");
    bench.backup();
    let (code, drilled) = bench.drill();
    assert_eq!(code, 0, "{drilled}");
    for act in [&["verify", "shop", "--read-data"][..], &["unlock", "shop"], &["status"]] {
        bench.run(act).exits(0);
    }
    bench.run(&["ledger", "verify", "acme"]).exits(0);
    bench.run(&["restore", "shop", "--to", "back"]).exits(0);
    nothing_more_is_allowed("least-privilege", true);

    grant(&bench, "least-privilege", "drill");
    bench.run(&["doctor", "shop"]).exits(0);
    let (code, drilled) = bench.drill();
    assert_eq!((code, drilled["verdict"].as_str()), (0, Some("pass")), "{drilled}");
    bench.run(&["verify", "shop"]).exits(0);
    bench.run(&["ledger", "verify", "acme"]).exits(0);
    bench.write("data/files/new", "something to store".into());
    let refused = bench.run(&["backup", "shop"]).exits(1);
    assert!(
        refused.stderr.contains("not allowed") && refused.stderr.contains("lifeboat grants"),
        "{}",
        refused.stderr
    );
    nothing_more_is_allowed("least-privilege", false);

    grant(&bench, "least-privilege", "restore");
    bench.run(&["snapshots", "shop"]).exits(0);
    let restored = bench.run(&["restore", "shop", "--to", "back-again"]).exits(0);
    assert!(restored.stderr.contains("read without a lock"), "{}", restored.stderr);
    bench.run(&["verify", "shop", "--read-data"]).exits(0);
    nothing_more_is_allowed("least-privilege", false);
}

/// Flips a byte in the middle of an object, and removes another, of a bucket.
fn damage(bucket: &str, flipped: &str, removed: Option<&str>) {
    let (client, bucket) = (seaweed().client(), bucket.to_owned());
    let (flipped, removed) = (flipped.to_owned(), removed.map(str::to_owned));
    wait_for(async move {
        let got = client.get_object().bucket(&bucket).key(&flipped).send().await.unwrap();
        let mut bytes = got.body.collect().await.unwrap().to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        let put = client.put_object().bucket(&bucket).key(&flipped).body(bytes.into());
        put.send().await.unwrap();
        if let Some(removed) = removed {
            client.delete_object().bucket(&bucket).key(removed).send().await.unwrap();
        }
    });
}

/// The objects below a folder of the customer's repository, the largest last.
fn objects(bucket: &str, folder: &str) -> Vec<String> {
    let (client, bucket) = (seaweed().client(), bucket.to_owned());
    let prefix = format!("lifeboat/acme/repo/{folder}/");
    wait_for(async move {
        let list = client.list_objects_v2().bucket(bucket).prefix(prefix).send().await.unwrap();
        let mut all: Vec<_> = list.contents().iter().map(|one| (one.size(), one.key())).collect();
        all.sort();
        all.into_iter().map(|(_, key)| key.unwrap().to_owned()).collect()
    })
}

#[test]
fn repairs_in_a_bucket_need_no_more_than_the_keys_of_a_prune() {
    let bucket = "repairs";
    let bench = on_s3(bucket);
    bench.edit("policies/shop.toml", "[objectives]", "[retention]\nlast = 1\n\n[objectives]");
    bench.backup();
    bench.sql("UPDATE orders SET cents = 1 WHERE id = 7");
    let newest = bench.backup()["snapshot"].as_str().unwrap().to_owned();
    let index = objects(bucket, "index");
    damage(bucket, &index[0], Some(&index[1]));
    grant(&bench, bucket, "prune");

    let repaired = bench.run(&["repair", "index", "shop", "--json"]).exits(0).json();

    assert_eq!(repaired["set_aside"].as_array().map(Vec::len), Some(1), "{repaired:#}");
    assert_eq!(objects(bucket, "damaged/index").len(), 1);
    bench.run(&["verify", "shop", "--read-data"]).exits(0);
    damage(bucket, objects(bucket, "data").last().unwrap(), None);

    let repaired = bench.run(&["repair", "snapshots", "shop", "--read-data", "--json"]).exits(3);

    let repaired = repaired.json();
    let dropped = repaired["dropped_packs"].as_array().map(Vec::len);
    assert_eq!(
        (dropped, &repaired["stopped"]),
        (Some(1), &serde_json::Value::Null),
        "{repaired:#}"
    );
    assert_eq!(objects(bucket, "damaged/data").len(), 1);
    let left = repaired["snapshots"][0]["repaired"].as_str().unwrap();
    bench.run(&["restore", "shop", "--snapshot", left, "--to", "left"]).exits(0);
    // The source still has what was lost.
    bench.backup();
    bench.run(&["restore", "shop", "--snapshot", &newest, "--to", "newest"]).exits(0);
    bench.run(&["forget", "shop", "--allow-many"]).exits(0);
    bench.run(&["prune", "shop"]).exits(0);
    bench.run(&["verify", "shop", "--read-data"]).exits(0);
    must(restic(&new_restic(), &bench, bucket).args(["check", "--read-data"]));
}
