//! The seeded workloads: the same bytes for the same seed on every machine.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// What is backed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workload {
    /// Files of some 1.2 MB that do not compress.
    Media,
    /// Text files of some 6 KB, forty to a folder.
    Small,
    /// One file of SQL rows.
    Dump,
    /// One file of 8 KiB pages that begins as an SQLite database does.
    Pages,
}

impl Workload {
    pub const ALL: [Self; 4] = [Self::Media, Self::Small, Self::Dump, Self::Pages];

    pub fn name(self) -> &'static str {
        match self {
            Self::Media => "media",
            Self::Small => "small",
            Self::Dump => "dump",
            Self::Pages => "pages",
        }
    }

    /// Makes it in `folder`; `megabytes` of content, a quarter of that as small files.
    pub fn make(self, folder: &Path, megabytes: u64) {
        fs::create_dir_all(folder).expect("a folder");
        let mut random = Random(0x1234_5678_9abc_def1);
        match self {
            Self::Media => (0..megabytes * 10 / 12).for_each(|n| media(folder, n, &mut random)),
            Self::Small => (0..megabytes * 150 / 4).for_each(|n| small(folder, n, &mut random)),
            Self::Dump => dump(&folder.join("shop.sql"), megabytes, 0),
            Self::Pages => pages(&folder.join("shop.db"), megabytes, &mut random),
        }
    }

    /// Changes 1 % of it: files, rows or pages, differently in each round.
    pub fn change(self, folder: &Path, megabytes: u64, round: u64) {
        let mut random = Random(0xfeed_0000_0001 + round);
        match self {
            Self::Media => {
                let files = megabytes * 10 / 12;
                (0..files.div_ceil(100))
                    .for_each(|_| media(folder, random.next() % files, &mut random.fork()));
            }
            Self::Small => {
                let files = megabytes * 150 / 4;
                (0..files.div_ceil(100))
                    .for_each(|_| small(folder, random.next() % files, &mut random.fork()));
            }
            Self::Dump => dump(&folder.join("shop.sql"), megabytes, round),
            Self::Pages => {
                let file =
                    File::options().write(true).open(folder.join("shop.db")).expect("the file");
                let all = megabytes * 1_000_000 / PAGE;
                for _ in 0..all / 100 {
                    let at = 1 + random.next() % (all - 1);
                    file.write_all_at(&page(at, &mut random), at * PAGE).expect("room");
                }
            }
        }
    }
}

const PAGE: u64 = 8 << 10;

/// Another order for every `round`, the same one in every run.
pub fn shuffle<T>(things: &mut [T], round: u64) {
    let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ round);
    for last in (1..things.len()).rev() {
        things.swap(last, (random.next() % (last as u64 + 1)) as usize);
    }
}

/// Marsaglia's xorshift64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn fork(&mut self) -> Self {
        Self(self.next() | 1)
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let number = self.next().to_le_bytes();
            chunk.copy_from_slice(&number[..chunk.len()]);
        }
    }

    /// One of some thousand words, the first ones far more often.
    fn word(&mut self) -> String {
        const SYLLABLES: [&str; 16] = [
            "ba", "ko", "lin", "tra", "vel", "mi", "son", "der", "pu", "ga", "ren", "sti", "no",
            "fa", "hel", "wo",
        ];
        let at = (self.next() % 4096).min(self.next() % 4096);
        let syllables = [at % 16, at / 16 % 16, at / 256];
        syllables.map(|at| SYLLABLES[at as usize]).concat()
    }
}

fn media(folder: &Path, number: u64, random: &mut Random) {
    let mut bytes = vec![0; 1_000_000 + random.next() as usize % 400_000];
    random.fill(&mut bytes);
    let folder = folder.join(format!("{:02}", number % 16));
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join(format!("picture-{number}.jpg")), bytes).expect("room");
}

fn small(folder: &Path, number: u64, random: &mut Random) {
    let folder = folder.join(format!("{:02}/{:03}", number / 4000, number / 40));
    fs::create_dir_all(&folder).expect("a folder");
    let length = 500 + random.next() as usize % 12_000;
    let mut text = String::with_capacity(length + 80);
    while text.len() < length {
        let (a, b, c) = (random.word(), random.word(), random.next() % 10_000);
        text.push_str(&format!("    let {a} = self.{b}({c}); // {}\n", random.word()));
    }
    fs::write(folder.join(format!("module_{number}.rs")), text).expect("room");
}

/// Rows of an order table; in a later `round` one in a hundred has other values.
fn dump(path: &Path, megabytes: u64, round: u64) {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path).expect("a new file"));
    let (mut written, mut number) = (0, 1_u64);
    while written < megabytes * 1_000_000 {
        let mut random = Random(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        random.next();
        if round > 0 && Random(number * 31 + round).next().is_multiple_of(100) {
            random = random.fork();
        }
        let row = format!(
            "INSERT INTO orders VALUES ({number},'2026-{:02}-{:02} {:02}:{:02}:17','{} {}','{} {} {}',{}.{:02},'{:016x}');\n",
            number / 70_000 % 12 + 1,
            number / 2500 % 28 + 1,
            number / 100 % 24,
            number % 60,
            random.word(),
            random.word(),
            random.word(),
            random.word(),
            random.word(),
            random.next() % 900,
            random.next() % 100,
            random.next(),
        );
        out.write_all(row.as_bytes()).expect("room");
        written += row.len() as u64;
        number += 1;
    }
    out.flush().expect("room");
}

fn pages(path: &Path, megabytes: u64, random: &mut Random) {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path).expect("a new file"));
    for number in 0..megabytes * 1_000_000 / PAGE {
        out.write_all(&page(number, random)).expect("room");
    }
    out.flush().expect("room");
}

/// A page of rows: text, keys, and room that nobody uses yet.
fn page(number: u64, random: &mut Random) -> Vec<u8> {
    let mut page = if number == 0 { b"SQLite format 3\0".to_vec() } else { vec![13, 0, 0, 0] };
    page.extend_from_slice(&number.to_be_bytes());
    while page.len() < PAGE as usize * 9 / 10 {
        page.extend_from_slice(&random.next().to_be_bytes());
        for _ in 0..6 {
            page.extend_from_slice(random.word().as_bytes());
            page.push(b' ');
        }
    }
    page.resize(PAGE as usize, 0);
    page
}
