//! Applications that `--discover` knows, by files that only they have.

/// How an application is recognised, and what of it cannot be installed again.
pub(super) struct Known {
    /// Names sources, too.
    pub(super) name: &'static str,
    /// All of them are there, below one folder.
    pub(super) marks: &'static [&'static str],
    /// Those of them that are there: below that folder, or absolute.
    pub(super) files: &'static [&'static str],
    pub(super) sqlite: &'static [&'static str],
}

/// Those that are known.
pub(super) const KNOWN: [Known; 9] = [
    Known {
        name: "wordpress",
        marks: &["wp-includes/version.php", "wp-content"],
        files: &["wp-content", "wp-config.php"],
        sqlite: &[],
    },
    Known {
        name: "magento",
        marks: &["app/etc/env.php", "pub/media"],
        files: &["pub/media", "app/etc"],
        sqlite: &[],
    },
    Known {
        name: "ecshop",
        marks: &["includes/cls_ecshop.php", "data"],
        files: &["images", "data"],
        sqlite: &[],
    },
    Known {
        name: "nextcloud",
        marks: &["lib/versioncheck.php", "config/config.php"],
        files: &["data", "config"],
        sqlite: &[],
    },
    Known {
        name: "gitea",
        marks: &["data/gitea.db"],
        files: &["data/gitea-repositories", "data/attachments", "/etc/gitea"],
        sqlite: &["data/gitea.db"],
    },
    Known {
        name: "forgejo",
        marks: &["data/forgejo.db"],
        files: &["data/forgejo-repositories", "data/attachments", "/etc/forgejo"],
        sqlite: &["data/forgejo.db"],
    },
    Known {
        name: "vaultwarden",
        marks: &["db.sqlite3", "rsa_key.pem"],
        files: &["attachments", "rsa_key.pem", "config.json"],
        sqlite: &["db.sqlite3"],
    },
    Known {
        name: "mattermost",
        marks: &["config/config.json", "data", "bin/mattermost"],
        files: &["data", "config"],
        sqlite: &[],
    },
    Known {
        name: "grafana",
        marks: &["grafana.db"],
        files: &["/etc/grafana"],
        sqlite: &["grafana.db"],
    },
];
