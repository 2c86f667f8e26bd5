//! Of Redis.

use lifeboat::source::redis::Reply;

use crate::bench::Bench;
use crate::servers::redis::Server;
use crate::{captured, is_refused, until};

fn says(server: &Server, word: &str) -> bool {
    let Reply::Text(text) = server.run("INFO replication") else { panic!("no text") };
    String::from_utf8_lossy(&text).contains(word)
}

#[test]
fn a_replica_of_redis_is_taken_while_it_hears_from_its_master() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let master = Server::start_with(&["--port", &port.to_string(), "--bind", "127.0.0.1"]);
    for key in ["a", "b", "c"] {
        master.run(&format!("SET {key} 1"));
    }
    let replica = Server::start_with(&["--replicaof", &format!("127.0.0.1 {port}")]);
    until("the link", || says(&replica, "master_link_status:up"));
    let bench = Bench::new();
    let [first, second] = [&replica, &master].map(|server| server.socket().display().to_string());
    bench.protect(&format!(
        "[[source]]\nname = \"cache\"\nkind = \"redis\"\nhosts = [\"{first}\", \"{second}\"]\n"
    ));
    bench.check("");

    bench.backup();

    let served = captured(&bench)["served"].clone();
    assert_eq!((&served["host"], &served["role"]), (&first.as_str().into(), &"replica".into()));
    let (code, drilled) = bench.drill();
    assert_eq!(code, 0, "{drilled:#}");
    drop(master);
    until("the loss", || says(&replica, "master_link_status:down"));
    is_refused(&bench, &["without a link to its master", &second]);
}
