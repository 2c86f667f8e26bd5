//! A server of MariaDB or MySQL of one's own: made from a template, stopped by its process id.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::postgres::{command, folder};

/// The account that every server is made with; it has no password.
pub const ADMINISTRATOR: &str = "root";

/// How long a server may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// By product: a server's files are a copy of it. It is shared for as long as a server lives, for a
/// static would never be dropped and leave its folder behind.
static TEMPLATES: Mutex<BTreeMap<Product, Weak<TempDir>>> = Mutex::new(BTreeMap::new());

/// What a server is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Product {
    Mariadb,
    Mysql,
}

impl Product {
    /// The folder of its programs: Debian's own, or unpacked by tests/tools.
    pub fn root(self) -> PathBuf {
        match self {
            Self::Mariadb => PathBuf::from("/usr"),
            Self::Mysql => {
                let tools = std::env::var("LIFEBOAT_TEST_TOOLS");
                Path::new(&tools.expect("tests/run names the test tools")).join("mysql-9.7")
            }
        }
    }

    fn server(self) -> PathBuf {
        self.root().join(match self {
            Self::Mariadb => "sbin/mariadbd",
            Self::Mysql => "sbin/mysqld",
        })
    }

    fn client(self) -> PathBuf {
        self.root().join(match self {
            Self::Mariadb => "bin/mariadb",
            Self::Mysql => "bin/mysql",
        })
    }

    /// A small redo log, for each server's files are copied; nothing waits for the disk.
    fn settings(self) -> &'static [&'static str] {
        match self {
            Self::Mariadb => {
                &["--innodb-log-file-size=16M", "--debug-no-sync=1", "--innodb-flush-method=fsync"]
            }
            Self::Mysql => &[
                "--innodb-redo-log-capacity=16M",
                "--innodb-flush-method=nosync",
                "--innodb-doublewrite=OFF",
                "--mysqlx=OFF",
                "--event-scheduler=OFF",
            ],
        }
    }

    /// The program that makes a server's files, about to do so.
    fn maker(self) -> Command {
        match self {
            Self::Mariadb => {
                let mut maker = command("/usr/bin/mariadb-install-db");
                maker.args(["--no-defaults", "--auth-root-authentication-method=normal"]);
                maker.args(["--skip-test-db", "--force", "--skip-name-resolve"]);
                maker.args(["--debug-no-sync=1", "--innodb-log-file-size=16M"]);
                maker
            }
            Self::Mysql => {
                let mut maker = command(self.server());
                maker.args(["--no-defaults", "--initialize-insecure", "--skip-log-bin"]);
                maker.args(self.settings());
                maker
            }
        }
    }
}

/// A running server; dropped, it is gone.
pub struct Server {
    product: Product,
    folder: TempDir,
    process: Child,
    /// Held for the servers that come after it.
    template: Arc<TempDir>,
}

impl Server {
    /// Makes and starts one with a binary log.
    pub fn start(product: Product) -> Self {
        Self::start_with(product, &["--log-bin=bin"])
    }

    /// Makes and starts one with these settings.
    pub fn start_with(product: Product, settings: &[&str]) -> Self {
        let (folder, template) = (folder(), template(product));
        let data = folder.path().join("data");
        let made = template.path().join("data");
        assert!(command("cp").arg("-a").arg(made).arg(&data).status().unwrap().success());
        // MySQL's identity, of which two that replicate need one each.
        let _ = fs::remove_file(data.join("auto.cnf"));
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let process = command(product.server())
            .arg("--no-defaults")
            .arg(format!("--basedir={}", product.root().display()))
            .arg(format!("--datadir={}", data.display()))
            .arg(format!("--socket={}", folder.path().join("s").display()))
            // A server that starts removes what others have in a folder that they share.
            .arg(format!("--tmpdir={}", folder.path().display()))
            .arg(format!("--secure-file-priv={}", folder.path().display()))
            .args(["--skip-networking", "--server-id=1", "--pid-file=pid"])
            .args(["--innodb-buffer-pool-size=32M", "--innodb-flush-log-at-trx-commit=2"])
            .arg("--performance-schema=0")
            .args(product.settings())
            .args(settings)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut server = Self { product, folder, process, template };
        server.wait_until_it_answers();
        server
    }

    /// Makes and starts one that others may follow, and the port of loopback it listens on.
    pub fn start_primary(product: Product) -> (Self, u16) {
        // Free a moment ago; the tests of one program run in threads that ask for one each.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let listening = ["--skip-networking=0", "--bind-address=127.0.0.1"];
        let (port_of_it, log) = (format!("--port={port}"), "--log-bin=bin");
        let primary = Self::start_with(product, &[&listening[..], &[&port_of_it, log]].concat());
        primary.sql(
            "CREATE USER follower@localhost IDENTIFIED BY 'follower';
             GRANT REPLICATION SLAVE ON *.* TO follower@localhost",
        );
        (primary, port)
    }

    /// Makes and starts one that follows the one of the same product that listens on `port`.
    pub fn start_replica(product: Product, port: u16) -> Self {
        let replica =
            Self::start_with(product, &["--server-id=2", "--log-bin=bin", "--read-only=1"]);
        let of = format!(
            "_HOST='127.0.0.1', {{}}_PORT={port}, {{}}_USER='follower', {{}}_PASSWORD='follower'"
        );
        replica.sql(&match product {
            Product::Mariadb => format!(
                "CHANGE MASTER TO MASTER{}, MASTER_USE_GTID=slave_pos; START SLAVE",
                of.replace("{}", "MASTER")
            ),
            Product::Mysql => format!(
                "CHANGE REPLICATION SOURCE TO SOURCE{}, GET_SOURCE_PUBLIC_KEY=1,
                   SOURCE_LOG_FILE='bin.000001', SOURCE_LOG_POS=4; START REPLICA",
                of.replace("{}", "SOURCE")
            ),
        });
        replica
    }

    /// The server's socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    /// The folder of its files.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The server's own process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// What it said of itself.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Runs a script and returns what it printed; panics on its first error.
    #[track_caller]
    pub fn sql(&self, script: &str) -> String {
        self.sql_as(ADMINISTRATOR, script).unwrap_or_else(|said| panic!("{script}: {said}"))
    }

    /// Runs a script as `user`; fails with what the client said.
    pub fn sql_as(&self, user: &str, script: &str) -> Result<String, String> {
        let mut child = self.client(user).spawn().unwrap();
        // A client that could not log in takes no script; its status says so.
        let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), script.as_bytes());
        let output = child.wait_with_output().unwrap();
        if output.status.success() {
            Ok(String::from_utf8(output.stdout).unwrap())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// The client, about to run what it reads.
    pub fn client(&self, user: &str) -> Command {
        let mut client = command(self.product.client());
        client
            .args(["--no-defaults", "--batch", "--skip-column-names", "--comments"])
            .args(["--default-character-set=utf8mb4", &format!("--user={user}")])
            .arg(format!("--socket={}", self.socket().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        client
    }

    /// Sends it a signal, e.g. `STOP`.
    pub fn signal(&self, signal: &str) {
        let sent = command("kill").args(["-s", signal, &self.pid().to_string()]).status().unwrap();
        assert!(sent.success(), "{signal}");
    }

    /// How many rows `table` has right now.
    pub fn count(&self, table: &str) -> u64 {
        self.sql(&format!("SELECT COUNT(*) FROM {table}")).trim().parse().unwrap()
    }

    fn wait_until_it_answers(&mut self) {
        let begun = Instant::now();
        while self.sql_as(ADMINISTRATOR, "SELECT 1").is_err() {
            assert!(self.process.try_wait().unwrap().is_none(), "it is over: {}", self.log());
            assert!(begun.elapsed() < PATIENCE, "the server did not start: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing of it is wanted any more; a stopped process takes no other signal but this one.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The folder of the files that a new server has, made once while a server lives.
fn template(product: Product) -> Arc<TempDir> {
    let mut templates = TEMPLATES.lock().unwrap();
    if let Some(folder) = templates.get(&product).and_then(Weak::upgrade) {
        return folder;
    }
    let folder = folder();
    let made = product
        .maker()
        .arg(format!("--basedir={}", product.root().display()))
        .arg(format!("--datadir={}", folder.path().join("data").display()))
        .arg(format!("--tmpdir={}", folder.path().display()))
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let folder = Arc::new(folder);
    templates.insert(product, Arc::downgrade(&folder));
    folder
}

/// Writers that insert, update and delete in `shop.orders` without a pause until they are dropped.
pub struct Writers {
    clients: Vec<Child>,
}

impl Writers {
    /// Starts `count` of them.
    pub fn start(server: &Server, count: usize) -> Self {
        let clients = (0..count).map(|number| {
            let mut client = server.client(ADMINISTRATOR);
            client.args(["--force", "--unbuffered"]).stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = client.spawn().unwrap();
            let mut pipe = child.stdin.take().unwrap();
            std::thread::spawn(move || {
                let mut round = number;
                // It ends with the client.
                while std::io::Write::write_all(&mut pipe, transaction(round).as_bytes()).is_ok() {
                    round += 1;
                }
            });
            child
        });
        Self { clients: clients.collect() }
    }
}

fn transaction(round: usize) -> String {
    format!(
        "BEGIN; INSERT INTO shop.orders (total, note) VALUES ({round}, 'new');
         INSERT INTO shop.paid (total) VALUES ({round});
         UPDATE shop.orders SET total = total + 1 WHERE id = {};
         DELETE FROM shop.orders WHERE id = {}; COMMIT;\n",
        round % 997,
        1000 + round % 400
    )
}

impl Drop for Writers {
    fn drop(&mut self) {
        for client in &mut self.clients {
            let _ = client.kill();
            let _ = client.wait();
        }
    }
}

/// A name as SQL takes it.
pub fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// Makes a folder of programs like those of `product`, in which `name` is `script` instead.
pub fn programs_with(product: Product, folder: &Path, name: &str, script: &str) {
    use std::os::unix::fs::{PermissionsExt, symlink};
    for part in ["bin", "sbin"] {
        fs::create_dir_all(folder.join(part)).unwrap();
    }
    for part in ["share", "lib"] {
        symlink(product.root().join(part), folder.join(part)).unwrap();
    }
    let programs: &[&str] = match product {
        Product::Mariadb => {
            &["sbin/mariadbd", "bin/mariadb", "bin/mariadb-dump", "bin/mariadb-install-db"]
        }
        Product::Mysql => &["sbin/mysqld", "bin/mysql", "bin/mysqldump"],
    };
    for program in programs {
        symlink(product.root().join(program), folder.join(program)).unwrap();
    }
    let path = folder.join("bin").join(name);
    fs::remove_file(&path).unwrap();
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}
