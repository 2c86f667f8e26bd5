//! The tools side by side: how each is told to do what.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::bucket::Bucket;
use super::measure::{Cost, measure};

const PASSWORD: &str = "canary-password-of-the-bench";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// The least work: see `model.rs`. Only ever makes a first backup.
    Model,
    /// The same, and the key derivation that making a repository takes.
    KeyedModel,
    Lifeboat,
    Restic,
    Rustic,
    Borg,
    Bupstash,
    Tar,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Makes a repository; lifeboat's first backup does so on its way.
    Init,
    First,
    Unchanged,
    Changed,
    Restore,
    Verify,
}

/// One tool with a repository of its own.
pub struct Bench<'a> {
    pub tool: Tool,
    /// What is backed up.
    pub source: &'a Path,
    /// Holds repository, caches and what is restored.
    pub place: PathBuf,
    /// Where the repository lies, if not in a folder.
    pub bucket: Option<&'a Bucket<'a>>,
}

impl Tool {
    pub const ALL: [Self; 8] = [
        Self::Model,
        Self::KeyedModel,
        Self::Lifeboat,
        Self::Restic,
        Self::Rustic,
        Self::Borg,
        Self::Bupstash,
        Self::Tar,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Model => "cost model",
            Self::KeyedModel => "cost model + key",
            Self::Lifeboat => "lifeboat",
            Self::Restic => "restic",
            Self::Rustic => "rustic",
            Self::Borg => "borg",
            Self::Bupstash => "bupstash",
            Self::Tar => "tar | zstd",
        }
    }

    /// Whether it is here and can do this.
    pub fn does(self, step: Step, on_s3: bool) -> bool {
        let does = match self {
            Self::Model | Self::KeyedModel => step == Step::First,
            Self::Lifeboat | Self::Tar => step != Step::Init,
            Self::Bupstash => step != Step::Verify,
            _ => true,
        };
        let reaches = !on_s3 || matches!(self, Self::Lifeboat | Self::Restic | Self::Rustic);
        does && reaches && program(self).is_some()
    }
}

/// Where the tool's program is; none: not on this machine.
fn program(tool: Tool) -> Option<PathBuf> {
    let tools = std::env::var_os("LIFEBOAT_TEST_TOOLS").map(PathBuf::from).unwrap_or_default();
    let on_path = |name: &str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.exists())
    };
    let in_tools = |name: &str| Some(tools.join(name)).filter(|path| path.exists());
    match tool {
        Tool::Model | Tool::KeyedModel => std::env::current_exe().ok(),
        // Another build of it, to compare two.
        Tool::Lifeboat => Some(
            std::env::var_os("LIFEBOAT_BIN")
                .map_or_else(|| env!("CARGO_BIN_EXE_lifeboat").into(), PathBuf::from),
        ),
        Tool::Restic => in_tools("restic-0.19"),
        Tool::Rustic => in_tools("bin/rustic"),
        Tool::Borg => on_path("borg"),
        Tool::Bupstash => in_tools("bin/bupstash").or_else(|| on_path("bupstash")),
        Tool::Tar => on_path("zstd"),
    }
}

impl Bench<'_> {
    /// Takes away what the tool keeps on its host: caches, and lifeboat's state.
    pub fn move_to_a_fresh_host(&self) {
        fs::remove_dir_all(self.place.join("home")).expect("our folder");
        fs::create_dir_all(self.place.join("home")).expect("a folder");
    }

    /// Makes what the tool wants to find; costs nothing that is counted.
    pub fn prepare(&self) {
        for folder in ["repo", "home", "policies"] {
            fs::create_dir_all(self.place.join(folder)).expect("a folder");
        }
        self.write("password", &format!("{PASSWORD}\n"));
        if self.tool == Tool::Lifeboat {
            let (here, source) = (self.place.display(), self.source.display());
            let url = match self.bucket {
                None => format!("url = \"file://{here}/repo\""),
                Some(bucket) => bucket.lifeboats(&self.place),
            };
            self.write(
                "lifeboat.toml",
                &format!(
                    "[state]\nurl = \"sqlite://{here}/home/state.db\"\n[scratch]\ndir = \"{here}/scratch\"\n\
                     [[store]]\nname = \"store\"\n{url}\n[[customer]]\nid = \"acme\"\nstore = \"store\"\n\
                     repository_password = {{ file = \"password\" }}\n"
                ),
            );
            self.write(
                "policies/bench.toml",
                &format!(
                    "customer = \"acme\"\nname = \"bench\"\n[[source]]\nname = \"data\"\nkind = \"files\"\n\
                     paths = [\"{source}\"]\n"
                ),
            );
        }
        if let (Tool::Rustic, Some(bucket)) = (self.tool, self.bucket) {
            self.write("rustic.toml", &bucket.rustics());
        }
    }

    fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;

        let path = self.place.join(name);
        if let Some(bucket) = self.bucket {
            bucket.write_secret(&self.place);
        }
        fs::write(&path, text).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("our file");
    }

    /// Does it, and measures it.
    pub fn run(&self, step: Step) -> Cost {
        let target = self.place.join("restored");
        if step == Step::Restore {
            fs::create_dir_all(&target).expect("a folder");
        }
        let stored = self.stored();
        let requests = self.bucket.map_or(0, Bucket::requests);
        let costs = self.commands(step, &target).into_iter().map(measure);
        let cost = costs.reduce(Cost::then).expect("at least one command");
        let requests = self.bucket.map_or(0, Bucket::requests) - requests;
        if step == Step::Restore {
            self.compare(&target);
            fs::remove_dir_all(&target).expect("our folder");
        }
        Cost { stored: self.stored().saturating_sub(stored), requests, ..cost }
    }

    fn stored(&self) -> u64 {
        match self.bucket {
            None => size_below(&self.place.join("repo")),
            Some(bucket) => bucket.stored(),
        }
    }

    /// That what was restored is what was backed up.
    fn compare(&self, target: &Path) {
        let below = self.source.strip_prefix("/").expect("an absolute path");
        let places = [
            target.join("data").join(below),
            target.join(below),
            target.join(self.source.file_name().expect("a name")),
            target.to_owned(),
        ];
        let restored = places.into_iter().find(|path| path.exists()).expect("something restored");
        let same = Command::new("diff").arg("-rq").arg(self.source).arg(&restored).status();
        assert!(same.expect("diff").success(), "{} restored something else", self.tool.name());
    }

    fn commands(&self, step: Step, target: &Path) -> Vec<Command> {
        match self.tool {
            Tool::Model => {
                vec![self.tool(&["--cost-model"], &[self.source, &self.place.join("repo")])]
            }
            Tool::KeyedModel => {
                let paths = [self.source, &self.place.join("repo")];
                vec![self.tool(&["--cost-model-with-key"], &paths)]
            }
            Tool::Lifeboat => vec![self.lifeboat(step, target)],
            Tool::Restic | Tool::Rustic => self.restic(step, target),
            Tool::Borg => self.borg(step, target),
            Tool::Bupstash => self.bupstash(step, target),
            Tool::Tar => vec![self.tar(step, target)],
        }
    }

    /// The tool's program with words and paths, in a home of its own.
    fn tool(&self, words: &[&str], paths: &[&Path]) -> Command {
        let mut command = Command::new(program(self.tool).expect("it was looked for"));
        command.args(words).args(paths).current_dir(&self.place);
        command.env("HOME", self.place.join("home")).env("XDG_CACHE_HOME", self.place.join("home"));
        command
    }

    fn lifeboat(&self, step: Step, target: &Path) -> Command {
        let config = self.place.join("lifeboat.toml");
        let options = ["--no-progress", "--json", "--config"];
        let (words, paths): (&[&str], &[&Path]) = match step {
            Step::Init => unreachable!("its first backup makes the repository"),
            Step::First | Step::Unchanged | Step::Changed => (&["backup", "bench"], &[]),
            Step::Restore => (&["restore", "bench", "--to"], &[target]),
            Step::Verify => (&["verify", "bench", "--read-data"], &[]),
        };
        let mut command = self.tool(words, paths);
        command.args(options).arg(config);
        command
    }

    fn restic(&self, step: Step, target: &Path) -> Vec<Command> {
        let run = |words: &[&str], paths: &[&Path]| {
            let mut command = self.tool(words, paths);
            match (self.bucket, self.tool) {
                (None, _) => command.arg("-r").arg(self.place.join("repo")),
                (Some(bucket), Tool::Restic) => bucket.restics(&mut command),
                (Some(_), _) => command.args(["-P", "rustic"]),
            };
            command.arg("--password-file").arg(self.place.join("password"));
            command
        };
        let backup = || run(&["backup"], &[self.source]);
        match step {
            Step::Init => vec![run(&["init"], &[])],
            Step::First | Step::Unchanged | Step::Changed => vec![backup()],
            Step::Restore if self.tool == Tool::Restic => {
                vec![run(&["restore", "latest", "--target"], &[target])]
            }
            Step::Restore => vec![run(&["restore", "latest"], &[target])],
            Step::Verify => vec![run(&["check", "--read-data"], &[])],
        }
    }

    fn borg(&self, step: Step, target: &Path) -> Vec<Command> {
        let repository = self.place.join("repo/borg").display().to_string();
        let archive = |name: &str| format!("{repository}::{name}");
        let run = |words: &[&str]| {
            let mut command = self.tool(words, &[]);
            command.env("BORG_PASSPHRASE", PASSWORD).env("BORG_BASE_DIR", self.place.join("home"));
            command.env("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes");
            command
        };
        let source = self.source.to_str().expect("ASCII");
        let create =
            |name: &str| run(&["create", "--compression", "zstd,3", &archive(name), source]);
        match step {
            Step::Init => vec![run(&["init", "--encryption", "repokey", &repository])],
            Step::First => vec![create("first")],
            Step::Unchanged => vec![create("second")],
            Step::Changed => vec![create("third")],
            Step::Restore => {
                let mut command = run(&["extract", &archive("third")]);
                command.current_dir(target);
                vec![command]
            }
            Step::Verify => vec![run(&["check", "--verify-data", &repository])],
        }
    }

    fn bupstash(&self, step: Step, target: &Path) -> Vec<Command> {
        let run = |words: &[&str], paths: &[&Path]| {
            let mut command = self.tool(words, paths);
            command.env("BUPSTASH_REPOSITORY", self.place.join("repo/bupstash"));
            command.env("BUPSTASH_KEY", self.place.join("bupstash.key"));
            command
        };
        let put = |name: &str| {
            let mut command = run(&["put", "--quiet", &format!("name={name}")], &[self.source]);
            command.env("BUPSTASH_SEND_LOG", self.place.join("home/send.log"));
            command
        };
        match step {
            Step::Init => vec![
                run(&["new-key", "-o"], &[&self.place.join("bupstash.key")]),
                run(&["init", "--quiet"], &[]),
            ],
            Step::First => vec![put("first")],
            Step::Unchanged => vec![put("second")],
            Step::Changed => vec![put("third")],
            Step::Restore => {
                let mut command = run(&["restore", "--quiet", "--into"], &[target]);
                command.arg("name=third");
                vec![command]
            }
            Step::Verify => Vec::new(),
        }
    }

    fn tar(&self, step: Step, target: &Path) -> Command {
        let script = match step {
            Step::Init => unreachable!("an archive needs no repository"),
            Step::First | Step::Unchanged | Step::Changed => {
                format!("tar -C \"$1\" -cf - . | zstd -q -3 -T0 > repo/{step:?}.tar.zst")
            }
            Step::Restore => "zstd -dcq repo/Changed.tar.zst | tar -C \"$2\" -xf -".to_owned(),
            Step::Verify => "zstd -tq repo/Changed.tar.zst".to_owned(),
        };
        let mut command = Command::new("sh");
        command.args(["-ec", &script, "tar"]).arg(self.source).arg(target).current_dir(&self.place);
        command
    }
}

fn size_below(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size_below(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}
