//! What is named to `init` by arguments.

use std::fs;
use std::path::Path;

use crate::bench::files_below;
use crate::lifeboat;

#[test]
fn servers_of_every_kind_become_sources_and_what_they_must_allow_stands_beside_them() {
    let place = tempfile::tempdir().unwrap();
    let (site, password) = (place.path().join("it's here"), place.path().join("password"));
    fs::write(&password, "canary").unwrap();
    let folder = site.to_str().unwrap();

    let init = [
        &["init", folder, "--json", "--mariadb", "mariadb://backup@/shop?socket=/run/a.sock"][..],
        &["--mysql", "mysql://db2:3307/shop,crm", "--redis", "redis://?socket=/run/r.sock"],
        &["--postgres", "postgres:///", "--password-file", password.to_str().unwrap()],
    ];
    let answer = lifeboat(&init.concat()).exits(0).json();

    let config = site.join("lifeboat.toml");
    lifeboat(&["validate", "--config", config.to_str().unwrap()]).exits(0);
    let policy = fs::read_to_string(site.join("policies/host.toml")).unwrap();
    for part in [
        "kind = \"mariadb\"\nhost = \"/run/a.sock\"\nuser = \"backup\"",
        "kind = \"mysql\"\nhost = \"db2\"\nport = 3307",
        "kind = \"redis\"\nhost = \"/run/r.sock\"\npassword",
        "kind = \"postgres\"\nhost = \"/run/postgresql\"\nuser = \"lifeboat\"",
    ] {
        assert!(policy.contains(part), "{part} in {policy}");
    }
    let grants: Vec<&str> =
        answer["grants"].as_array().unwrap().iter().map(|path| path.as_str().unwrap()).collect();
    assert_eq!(grants.len(), 3, "Redis has no SQL: {answer:#}");
    let next = answer["next"].as_array().unwrap().iter().map(|one| one.as_str().unwrap());
    let next: Vec<&str> = next.collect();
    assert!(
        next[1].contains("mariadb --socket=/run/a.sock --user=root --password < '"),
        "{next:#?}"
    );
    assert!(next[2].contains("mysql --host=db2 --port=3307 --user=root --password <"), "{next:#?}");
    for file in files_below(&site) {
        let text = fs::read_to_string(&file).unwrap();
        assert!(!text.contains("canary"), "{} holds the password", file.display());
    }
    let with = |more: &[&str]| {
        lifeboat(
            &[&["grants", "host", "--sql", "--config", config.to_str().unwrap()], more].concat(),
        )
    };
    let one = with(&["--source", "mysql-1"]).exits(0).stdout;
    assert!(fs::read_to_string(grants[2]).unwrap().contains(&one), "{one}");
    let several = with(&[]).exits(1).stderr;
    assert!(several.contains("--source"), "{several}");
    let unknown = with(&["--source", "mysql-2"]).exits(1).stderr;
    assert!(unknown.contains("mariadb-1"), "{unknown}");
}

#[test]
fn a_folder_with_policies_of_others_is_left_as_it_is() {
    let place = tempfile::tempdir().unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/gitea-sqlite.toml");
    fs::create_dir(place.path().join("policies")).unwrap();
    fs::copy(shipped, place.path().join("policies/gitea.toml")).unwrap();
    let folder = place.path().to_str().unwrap();

    let refused = lifeboat(&["init", folder]).exits(1).stderr;

    assert!(refused.contains("policies/gitea.toml would belong to the new site"), "{refused}");
    assert!(refused.contains("hint: all of policies/ and drills/"), "{refused}");
    assert_eq!(files_below(place.path()).len(), 1, "something was written");
}

#[test]
fn a_password_that_no_server_asks_for_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().to_str().unwrap();

    let refused = lifeboat(&["init", folder, "--password-file", "/etc/hostname"]).exits(1).stderr;

    assert!(refused.contains("--password-file without a server"), "{refused}");
}
