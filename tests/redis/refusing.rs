//! Servers that cannot or will not give their data set whole: no capture, and an error that says why.

use std::error::Error as _;
use std::time::{Duration, Instant};

use lifeboat::ground::secret::SecretRef;
use lifeboat::source::Error;
use lifeboat::source::redis::Reply;

use super::at_hand::{Bench, everything, settings};
use super::fake::{Fake, INFO};
use super::servers::redis::Server;

const MARK: &str = "0123456789012345678901234567890123456789";

/// A small sound data set.
fn sound() -> Vec<u8> {
    let server = Server::start();
    server.run("SET a 1\nRPUSH b x y z");
    std::fs::read(server.save()).unwrap()
}

/// Why nothing was captured of a server that answers PSYNC with this.
#[track_caller]
fn refused(transfer: &[u8]) -> String {
    let fake = Fake::new(INFO, transfer);
    told(&Bench::with(settings(fake.socket().display().to_string())).err().expect("no capture"))
}

fn told(error: &Error) -> String {
    let mut told = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        told = format!("{told}: {error}");
        next = error.source();
    }
    told
}

fn header(end: &str) -> String {
    format!("\n\n+FULLRESYNC {MARK} 17\r\n\n${end}\r\n")
}

#[test]
fn a_transfer_is_taken_whole_by_its_length_and_by_its_mark() {
    let whole = sound();
    let length = header(&whole.len().to_string());
    let by_length = [length.as_bytes(), &whole, b"*1\r\n$4\r\nPING\r\n"];
    let by_mark = [header(&format!("EOF:{MARK}")).as_bytes(), &whole, MARK.as_bytes()].concat();

    for transfer in [by_length.concat(), by_mark] {
        let fake = Fake::new(INFO, &transfer);
        let bench = Bench::with(settings(fake.socket().display().to_string())).unwrap();
        assert_eq!(std::fs::read(bench.file()).unwrap(), whole);
        assert_eq!(bench.capture.redis.as_ref().unwrap().offset, 17);
        assert!(fake.heard().contains("REPLCONF capa eof"), "{}", fake.heard());
    }
}

#[test]
fn a_transfer_that_ends_early_is_no_capture() {
    let whole = sound();
    let length = header(&whole.len().to_string());
    let mark = header(&format!("EOF:{MARK}"));
    for keep in [0, 1, 9, whole.len() / 2, whole.len() - 1] {
        for header in [&length, &mark] {
            let said = refused(&[header.as_bytes(), &whole[..keep]].concat());
            assert!(said.contains("ended the transfer early"), "{keep}: {said}");
        }
    }
    // All of it, and the mark only in part.
    let said = refused(&[mark.as_bytes(), &whole, &MARK.as_bytes()[..39]].concat());
    assert!(
        said.contains("ended the transfer early") || said.contains("follows its end"),
        "{said}"
    );
}

#[test]
fn a_short_data_set_that_is_sent_as_if_it_were_whole_is_no_capture() {
    let whole = sound();
    for keep in [9, whole.len() / 2, whole.len() - 8, whole.len() - 1] {
        let by_length = header(&keep.to_string());
        let by_mark = header(&format!("EOF:{MARK}"));
        for transfer in [
            [by_length.as_bytes(), &whole[..keep]].concat(),
            [by_mark.as_bytes(), &whole[..keep], MARK.as_bytes()].concat(),
        ] {
            let said = refused(&transfer);
            assert!(said.contains("no sound data set") && said.contains("ends early"), "{said}");
        }
    }
    let longer = [&whole[..], b"more"].concat();
    let said = refused(&[header(&longer.len().to_string()).as_bytes(), &longer].concat());
    assert!(said.contains("something follows its end"), "{said}");
    let mut flipped = whole.clone();
    flipped[whole.len() - 15] ^= 4;
    let said = refused(&[header(&whole.len().to_string()).as_bytes(), &flipped].concat());
    assert!(said.contains("no sound data set"), "{said}");
}

#[test]
fn answers_that_are_none_are_told() {
    for (transfer, what) in [
        ("-NOMASTERLINK Can't SYNC while not connected with my master\r\n", "NOMASTERLINK"),
        ("+CONTINUE\r\n", "refused"),
        ("+FULLRESYNC x 1\r\n-ERR no memory\r\n", "without a length"),
        ("+FULLRESYNC x 1\r\n$EOF:short\r\n", "without a length"),
        ("+FULLRESYNC x 1\r\n$12x\r\n", "without a length"),
        ("", "closed the connection"),
    ] {
        let said = refused(transfer.as_bytes());
        assert!(said.contains(what), "{transfer}: {said}");
    }
    let endless = "x".repeat(100_000);
    assert!(refused(endless.as_bytes()).contains("a line without an end"));
}

#[test]
fn a_fork_that_would_not_fit_is_never_asked_for() {
    let full = INFO.replace("used_memory_rss:1000", "used_memory_rss:7000000000");
    let fake = Fake::new(&full, b"");

    let error = Bench::with(settings(fake.socket().display().to_string())).err().unwrap();

    assert!(error.to_string().contains("have to fork"), "{error}");
    assert!(error.to_string().contains("6.52 GiB"), "{error}");
    assert!(!fake.heard().contains("PSYNC"), "{}", fake.heard());
}

/// A server that takes seconds to send its data set.
pub fn slow() -> Server {
    let server = Server::start_with(&["--rdb-key-save-delay", "5000", "--rdbcompression", "no"]);
    everything(&server);
    let bulk = "x".repeat(4000);
    server.run(&(0..300).map(|n| format!("SET bulk:{n} {bulk}\n")).collect::<String>());
    server
}

/// Waits until some of the data set is on its way.
pub fn wait_until_it_sends(server: &Server) {
    let begun = Instant::now();
    let sent = || match server.run("INFO stats") {
        Reply::Text(text) => {
            let text = String::from_utf8(text).unwrap();
            let told =
                text.lines().find_map(|line| line.strip_prefix("total_net_repl_output_bytes:"));
            told.unwrap().trim().parse::<u64>().unwrap()
        }
        other => panic!("{other:?}"),
    };
    while sent() < 40_000 {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", server.log());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_server_killed_while_it_sends_is_no_capture() {
    let mut server = slow();
    let settings = settings(server.socket().display().to_string());

    let captured = std::thread::scope(|scope| {
        let capturing = scope.spawn(|| Bench::with(settings).map(|_| ()));
        wait_until_it_sends(&server);
        // Its child, which sends, dies with it.
        server.kill();
        capturing.join().unwrap()
    });

    let said = told(&captured.unwrap_err());
    assert!(said.contains("ended the transfer early"), "{said}");
}

#[test]
fn a_server_that_falls_silent_is_given_up() {
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    let socket = folder.path().join("s");
    let _listens = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let mut settings = settings(socket.display().to_string());
    settings.silence = Duration::from_millis(300);

    let said = told(&Bench::with(settings).err().unwrap());

    assert!(said.contains("said nothing for 0.3 s"), "{said}");
}

#[test]
fn a_password_is_shown_by_nobody_even_where_the_server_repeats_it() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "canary-password").unwrap();
    let of = |socket: std::path::PathBuf| {
        let mut settings = settings(socket.display().to_string());
        settings.password = Some(SecretRef::File(file.clone()));
        settings
    };
    server.run("CONFIG SET requirepass other");

    let wrong = told(&Bench::with(of(server.socket())).err().unwrap());
    let echo = Fake::answering(INFO, b"", "-ERR unknown command 'AUTH' with 'canary-password'\r\n");
    let repeated = told(&Bench::with(of(echo.socket())).err().unwrap());

    assert!(wrong.contains("does not admit us (WRONGPASS)"), "{wrong}");
    for said in [wrong, repeated] {
        assert!(!said.contains("canary"), "{said}");
    }
}
