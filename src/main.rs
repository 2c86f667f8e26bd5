//! The binary: everything is in the library, which tests and fuzzers can reach.

fn main() -> std::process::ExitCode {
    lifeboat::cli::main()
}
