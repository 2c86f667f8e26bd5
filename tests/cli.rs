//! The command line's frame: streams and exit statuses, told from outside.

use std::process::{Command, Output};

fn lifeboat(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lifeboat"))
        .args(arguments)
        .env_remove("LIFEBOAT_LOG")
        .output()
        .expect("the binary was built for this test")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

#[test]
fn help_and_version_are_answers() {
    for flag in ["--help", "--version", "-h"] {
        let output = lifeboat(&[flag]);

        assert_eq!(output.status.code(), Some(0), "{flag}");
        assert!(stdout(&output).contains("lifeboat"), "{flag}");
        assert_eq!(stderr(&output), "", "{flag}");
    }
}

#[test]
fn help_documents_every_exit_status() {
    let help = stdout(&lifeboat(&["--help"]));

    for status in ["0  done", "4  a drill failed", "12  wrong password", "130  interrupted"] {
        assert!(help.contains(status), "{status}");
    }
}

#[test]
fn wrong_usage_is_told_on_standard_error_and_ends_with_two() {
    for arguments in [&["--no-such-flag"][..], &["sink"], &["completions", "cobol"], &[]] {
        let output = lifeboat(arguments);

        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(stdout(&output), "", "{arguments:?}");
        assert!(!stderr(&output).is_empty(), "{arguments:?}");
    }
}

#[test]
fn with_json_wrong_usage_is_one_line_of_json() {
    let output = lifeboat(&["--json", "sink"]);

    assert_eq!(output.status.code(), Some(2));
    assert_eq!(stderr(&output).lines().count(), 1);
    let line: serde_json::Value = serde_json::from_slice(&output.stderr).expect("JSON");
    assert!(line["error"].as_str().expect("text").contains("sink"), "{line}");
    assert!(line["hint"].is_string(), "{line}");
}

#[test]
fn completions_are_written_for_every_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = lifeboat(&["completions", shell]);

        assert_eq!(output.status.code(), Some(0), "{shell}");
        assert!(stdout(&output).contains("completions"), "{shell}");
        assert_eq!(stderr(&output), "", "{shell}");
    }
}

#[test]
fn a_manual_page_is_printed_for_each_command_and_none_for_others() {
    let page = lifeboat(&["man", "completions"]);
    assert_eq!(page.status.code(), Some(0));
    assert!(stdout(&page).contains(".TH"), "{}", stdout(&page));

    let none = lifeboat(&["man", "sink"]);
    assert_eq!(none.status.code(), Some(2));
    assert_eq!(stdout(&none), "");
    assert!(stderr(&none).contains("hint:"), "{}", stderr(&none));
}

#[test]
fn manual_pages_of_all_commands_go_to_a_folder() {
    let folder = tempfile::tempdir().expect("a folder");

    let output = lifeboat(&["man", "--to", folder.path().to_str().expect("UTF-8")]);

    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for page in ["lifeboat.1", "lifeboat-man.1", "lifeboat-completions.1"] {
        assert!(folder.path().join(page).exists(), "{page}");
    }
}

#[test]
fn an_answer_nobody_reads_to_its_end_is_no_error() {
    use std::process::Stdio;

    let mut child = Command::new(env!("CARGO_BIN_EXE_lifeboat"))
        .args(["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary was built for this test");
    drop(child.stdout.take());

    let output = child.wait_with_output().expect("it ends");

    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}
