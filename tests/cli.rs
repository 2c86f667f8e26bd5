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

const SITE: &str = r#"
[[store]]
name = "primary"
url = "file:///srv/backups"

[[customer]]
id = "acme"
timezone = "Asia/Shanghai"
store = "primary"
repository_password = { file = "/etc/lifeboat/acme.key" }

[signing]
key = { file = "/etc/lifeboat/ledger_ed25519" }
"#;

const POLICY: &str = r#"
customer = "acme"
name = "shop"

[schedule]
backup = "0 */4 * * *"

[[source]]
name = "uploads"
kind = "files"
paths = ["/srv/shop/uploads"]
"#;

/// A folder with a site and one policy, and the path of the site file.
fn site(site: &str, policy: &str) -> (tempfile::TempDir, String) {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().expect("a folder");
    let policies = folder.path().join("policies");
    std::fs::create_dir(&policies).expect("a folder");
    std::fs::set_permissions(&policies, PermissionsExt::from_mode(0o755)).expect("a mode");
    let file = folder.path().join("lifeboat.toml");
    for (file, text) in [(&file, site), (&policies.join("shop.toml"), policy)] {
        std::fs::write(file, text).expect("a file");
        std::fs::set_permissions(file, PermissionsExt::from_mode(0o644)).expect("a mode");
    }
    let file = file.to_str().expect("UTF-8").to_owned();
    (folder, file)
}

#[test]
fn a_valid_configuration_shows_its_next_three_times() {
    let (_folder, file) = site(SITE, POLICY);

    let output = lifeboat(&["validate", "--config", &file, "--json"]);

    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(answer["ok"], true);
    let next = &answer["schedules"][0];
    assert_eq!((&next["what"], &next["name"]), (&"backup".into(), &"acme/shop".into()));
    let times = next["times"].as_array().expect("a list");
    assert_eq!(times.len(), 3, "{times:?}");
    for time in times {
        let time = time.as_str().expect("text");
        assert!(time.ends_with(":00:00+08:00"), "{time}");
    }
    let text = lifeboat(&["validate", "--config", &file]);
    assert!(stdout(&text).contains("the configuration is valid"), "{}", stdout(&text));
}

#[test]
fn every_mistake_is_shown_with_its_place_and_ends_with_two() {
    let site_text = SITE.replace("Asia/Shanghai", "Asia/Shangai");
    let (folder, file) = site(&site_text, &POLICY.replace("0 */4", "0 */99"));

    let output = lifeboat(&["validate", "--config", &file]);

    assert_eq!(output.status.code(), Some(2));
    assert_eq!(stdout(&output), "");
    let shown = stderr(&output);
    for part in
        ["lifeboat.toml:8:", "shop.toml:6:", "Asia/Shangai", "error: the configuration has 2"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }

    let json = lifeboat(&["validate", "--config", &file, "--json"]);
    assert_eq!(json.status.code(), Some(2));
    let answer: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(answer["diagnostics"].as_array().expect("a list").len(), 2, "{answer}");

    let one = folder.path().join("policies/shop.toml");
    let narrowed = lifeboat(&["validate", "--config", &file, one.to_str().expect("UTF-8")]);
    assert_eq!(narrowed.status.code(), Some(2));
    assert!(!stderr(&narrowed).contains("lifeboat.toml:8"), "{}", stderr(&narrowed));
}

#[test]
fn without_a_site_file_the_hint_says_how_to_get_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let of_this_host = std::path::Path::new("/etc/lifeboat/lifeboat.toml");
    assert!(!of_this_host.exists(), "there is a site on this host: the hint cannot be tested");
    let output = Command::new(env!("CARGO_BIN_EXE_lifeboat"))
        .args(["validate", "--json"])
        .current_dir(folder.path())
        .output()
        .expect("the binary was built for this test");

    assert_eq!(output.status.code(), Some(2));
    let line: serde_json::Value = serde_json::from_slice(&output.stderr).expect("one JSON line");
    assert!(line["hint"].as_str().expect("text").contains("lifeboat init"), "{line}");
}

#[test]
fn schemas_are_json_documents() {
    for kind in ["site", "policy", "drill"] {
        let output = lifeboat(&["schema", kind]);

        assert_eq!(output.status.code(), Some(0), "{kind}");
        let schema: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert!(schema["properties"].is_object(), "{kind}");
    }
}
