//! What was captured comes back, and is found equal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lifeboat::source::{Cell, Fault, Source, Trouble};

use super::at_hand::{Bench, everything, held, settings};
use super::servers::redis::Server;

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn every_type_comes_back_equal_while_writers_write() {
    let server = Server::start();
    everything(&server);
    let over = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..2)
        .map(|writer| {
            let (mut session, over) = (server.session(), over.clone());
            std::thread::spawn(move || {
                let mut written = 0u64;
                while !over.load(Ordering::Relaxed) {
                    let (key, value) =
                        (format!("w{writer}:{}", written % 500), format!("{written}"));
                    session.must(&[b"SET", key.as_bytes(), value.as_bytes()]).unwrap();
                    session.must(&[b"SADD", b"bigset", value.as_bytes()]).unwrap();
                    session.must(&[b"ZADD", b"bigz", value.as_bytes(), key.as_bytes()]).unwrap();
                    written += 1;
                }
                written
            })
        })
        .collect();
    while server.run("EXISTS w0:200 w1:200") != lifeboat::source::redis::Reply::Integer(2) {}

    let bench = Bench::of(&server);
    let later = Bench::of(&server);

    over.store(true, Ordering::Relaxed);
    let written: u64 = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
    assert!(written > 400, "the writers stood still: {written}");
    assert!(held(bench.outcome()) > 600);
    assert_ne!(bench.capture.fingerprint, later.capture.fingerprint, "nobody wrote meanwhile");
    assert_eq!(bench.capture.fingerprint.schema.keys().collect::<Vec<_>>(), ["library shop"]);
    let taken = bench.capture.redis.as_ref().unwrap();
    assert_eq!((taken.databases, taken.format, taken.history.len()), (4, 10, 40));
    bench.scratch.remove().unwrap();
}

#[test]
fn the_fingerprint_is_of_values_whatever_their_encoding_order_and_server() {
    let small = Server::start();
    everything(&small);
    let expiry = "PEXPIREAT hashsoon 4000000000000\nSELECT 0";
    small.run(expiry);
    let soon: String = (0..300).map(|n| format!("PEXPIREAT soon:{n} 4000000000000\n")).collect();
    small.run(&soon);
    // The same values with no small encoding at all, loaded from what the first one wrote.
    let large = Server::on(
        &small.save(),
        &[
            "--hash-max-listpack-entries",
            "0",
            "--zset-max-listpack-entries",
            "0",
            "--set-max-intset-entries",
            "0",
            "--list-max-listpack-size",
            "1",
            "--rdbcompression",
            "no",
            "--repl-diskless-sync",
            "no",
        ],
    );
    // Encodings change when a value is written to.
    large.run(
        "HSET smallhash x 1\nHDEL smallhash x\nZADD smallz 5 x\nZREM smallz x\nSADD ints x\nSREM ints x
         SADD shorts x\nSREM shorts x",
    );

    let (one, other) = (Bench::of(&small), Bench::of(&large));

    assert_eq!(one.capture.fingerprint, other.capture.fingerprint);
    assert!(one.capture.bytes < other.capture.bytes, "one of them is packed");
    held(other.outcome());
}

#[test]
fn keys_whose_time_has_come_meanwhile_are_compared_like_any_other() {
    let server = Server::start();
    server.run("SET stays 1\nSET goes:1 a PX 1500\nSADD goes:2 b\nPEXPIRE goes:2 1500");
    let bench = Bench::of(&server);
    while server.run("DBSIZE") != lifeboat::source::redis::Reply::Integer(1) {
        std::thread::sleep(Duration::from_millis(50));
    }

    assert_eq!(held(bench.outcome()), 3);

    // One of them lost is a loss all the same, and its controls are found.
    for fault in [Fault::RowRemoved, Fault::RowChanged] {
        let mut recovered = bench.recover().unwrap();
        let injured = recovered.injure(fault).unwrap().unwrap();
        assert!(bench.equality(&mut *recovered).found(&injured), "{fault:?} in {injured:?}");
        recovered.stop().unwrap();
    }
}

#[test]
fn controls_find_what_they_injured_in_every_type() {
    for command in
        ["SET k v", "RPUSH k a b", "SADD k a b", "ZADD k 1 a", "HSET k f v", "XADD k 5-1 f v"]
    {
        for expiry in ["PERSIST k", "PEXPIRE k 90000000"] {
            let server = Server::start();
            server.run(&format!("{command}\n{expiry}"));
            let bench = Bench::of(&server);
            for fault in [Fault::RowRemoved, Fault::RowChanged] {
                let mut recovered = bench.recover().unwrap();
                let injured = recovered.injure(fault).unwrap().unwrap();
                let found = bench.equality(&mut *recovered).found(&injured);
                assert!(found, "{command}, {expiry}, {fault:?}: {injured:?}");
                recovered.stop().unwrap();
            }
        }
    }
}

#[test]
fn checks_may_read_and_nothing_else() {
    let server = Server::start();
    everything(&server);
    let bench = Bench::of(&server);
    let mut recovered = bench.recover().unwrap();
    let mut ask = |database, command: &str| recovered.query(database, command, LIMIT);

    assert_eq!(ask(None, "GET text:7").unwrap().rows, [[Cell::Text("value-7".into())]]);
    assert_eq!(ask(None, "HGET bighash field-2").unwrap().rows, [[Cell::Integer(14)]]);
    assert_eq!(ask(Some("3"), "DBSIZE").unwrap().rows, [[Cell::Integer(2)]]);
    assert_eq!(ask(None, "GET gone").unwrap().rows, [[Cell::Null]]);
    assert_eq!(ask(None, "LRANGE smalllist 0 1").unwrap().rows.len(), 2);
    for refused in [
        "SET text:7 x",
        "FLUSHALL",
        "FCALL f 0",
        "EVAL return_1 0",
        "CONFIG GET *",
        "GET \"x",
        "SAVE",
    ] {
        let said = ask(None, refused).unwrap_err();
        assert!(matches!(said, Trouble::Environment(_)), "{refused}: {said:?}");
    }
    assert!(matches!(ask(None, "GET longlist"), Err(Trouble::Data(_))));
    assert!(matches!(ask(Some("9999"), "DBSIZE"), Err(Trouble::Data(_))));
    held(bench.equality(&mut *recovered));
    let confinement = recovered.confinement().unwrap();
    assert!(confinement.contains("bubblewrap") && confinement.contains("Redis 7"), "{confinement}");
    recovered.stop().unwrap();
}

#[test]
fn a_user_with_the_rights_that_grants_prints_may_capture_and_touch_no_key() {
    let server = Server::start();
    server.run("SET canary 1");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "open sesame").unwrap();
    let mut settings = settings(server.socket().display().to_string());
    settings.user = Some("backup".to_owned());
    settings.password = Some(lifeboat::ground::secret::SecretRef::File(file));
    let source = lifeboat::source::redis::Redis::new("cache".parse().unwrap(), settings.clone());
    let needs = source.grants().needs.join("\n");
    let command = needs.split_once("ACL SETUSER ").unwrap().1.replace("PASSWORD", "open sesame");
    let mut words: Vec<&[u8]> = vec![b"ACL", b"SETUSER"];
    let (before, after) = command.split_once(">open sesame").unwrap();
    words.extend(before.split_whitespace().map(str::as_bytes));
    words.push(b">open sesame");
    words.extend(after.split_whitespace().map(str::as_bytes));
    server.command(&words);

    let bench = Bench::with(settings.clone()).unwrap();

    assert_eq!(held(bench.outcome()), 1);
    let mut session = server.session();
    session.must(&[b"AUTH", b"backup", b"open sesame"]).unwrap();
    for forbidden in [&[&b"GET"[..], b"canary"][..], &[b"FLUSHALL"], &[b"CONFIG", b"GET", b"*"]] {
        assert!(session.must(forbidden).is_err());
    }
    for less in ["-psync", "-info", "-replconf"] {
        server.command(&[b"ACL", b"SETUSER", b"backup", less.as_bytes()]);
        assert!(Bench::with(settings.clone()).is_err(), "{less} was not needed");
        server.command(&[b"ACL", b"SETUSER", b"backup", less.replace('-', "+").as_bytes()]);
    }
}

#[test]
fn a_replica_is_captured_while_it_hears_from_its_master_and_not_afterwards() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let port = port.to_string();
    let mut master = Server::start_with(&["--bind", "127.0.0.1", "--port", &port]);
    master.run("SET a 1\nSET b 2 PX 90000000");
    let replica = Server::start_with(&["--replicaof", "127.0.0.1", &port]);
    let up = |replica: &Server| {
        let lifeboat::source::redis::Reply::Text(info) = replica.run("INFO replication") else {
            panic!("no text")
        };
        String::from_utf8(info).unwrap().contains("master_link_status:up")
    };
    while !up(&replica) {
        std::thread::sleep(Duration::from_millis(50));
    }

    let bench = Bench::of(&replica);

    assert_eq!(held(bench.outcome()), 2);
    assert!(bench.capture.redis.as_ref().unwrap().is_replica);
    master.kill();
    while up(&replica) {
        std::thread::sleep(Duration::from_millis(50));
    }
    let refused = Bench::with(settings(replica.socket().display().to_string())).err().unwrap();
    assert!(refused.to_string().contains("without a link to its master"), "{refused}");
}

#[test]
fn a_connection_is_encrypted_and_the_authority_is_looked_at() {
    use lifeboat::policy::sources::Tls;
    let keys = tempfile::tempdir().unwrap();
    let of = |name: &str| keys.path().join(name).display().to_string();
    for name in ["server", "stranger"] {
        let made = std::process::Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
            ])
            .args([
                "-days",
                "2",
                "-subj",
                "/CN=localhost",
                "-addext",
                "subjectAltName=DNS:localhost",
            ])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .args(["-keyout", &of(&format!("{name}.key")), "-out", &of(&format!("{name}.pem"))])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Server::start_with(&[
        "--bind",
        "127.0.0.1",
        "--tls-port",
        &port.to_string(),
        "--tls-auth-clients",
        "no",
        "--tls-cert-file",
        &of("server.pem"),
        "--tls-key-file",
        &of("server.key"),
        "--tls-ca-cert-file",
        &of("server.pem"),
    ]);
    everything(&server);
    let over = |tls: Tls| {
        let mut settings = settings("localhost");
        (settings.port, settings.tls) = (port, tls);
        Bench::with(settings)
    };

    let anybody = over(Tls::Require).unwrap();
    let known = over(Tls::Verify { ca: of("server.pem").into() }).unwrap();
    let stranger = over(Tls::Verify { ca: of("stranger.pem").into() }).err().unwrap();
    let plain = over(Tls::Off).err().unwrap();

    assert_eq!(anybody.capture.fingerprint, known.capture.fingerprint);
    let chain = |error: &dyn std::error::Error| {
        let mut told = error.to_string();
        let mut next = error.source();
        while let Some(error) = next {
            told = format!("{told}: {error}");
            next = error.source();
        }
        told
    };
    assert!(chain(&stranger).contains("certificate"), "{}", chain(&stranger));
    assert!(!chain(&plain).is_empty());
}
