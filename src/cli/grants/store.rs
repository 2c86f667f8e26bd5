//! What a store must allow: of a bucket as a policy that services enforce, of a folder in words.

use serde::Serialize;
use serde_json::{Value, json};

use super::Host;
use crate::ground::ids::Name;
use crate::policy::{S3Settings, Store, StoreKind};

/// What keys to a store must be allowed.
#[derive(Debug, Serialize)]
pub(super) struct Needs {
    pub(super) url: String,
    /// What is needed, and why: a sentence each.
    pub(super) needs: Vec<String>,
    /// In AWS's language of policies. None for a folder.
    pub(super) bucket_policy: Option<Value>,
}

impl Needs {
    pub(super) fn of(store: &Store, customer: &Name, host: Host, principal: Option<&str>) -> Self {
        let (needs, bucket_policy) = match &store.kind {
            StoreKind::Folder(folder) => {
                (of_folder(&format!("{}/{customer}", folder.display()), host), None)
            }
            StoreKind::S3(bucket) => {
                let part = Part::of(bucket, customer);
                (part.reasons(host), Some(part.policy(host, principal)))
            }
        };
        Self { url: store.url(), needs, bucket_policy }
    }
}

fn of_folder(folder: &str, host: Host) -> Vec<String> {
    let needs: &[String] = &match host {
        Host::Backup => [
            format!("who runs lifeboat reads, writes and enters {folder} and all that is below it"),
            "what it makes there nobody else may read (modes 0700 and 0600)".to_owned(),
        ],
        Host::Drill => [
            format!("who runs lifeboat reads {folder} and enters all that is below it"),
            format!("and writes below {folder}/ledger, {folder}/repo/locks and the store's .tmp"),
        ],
        Host::Prune => [
            format!(
                "who runs lifeboat reads, writes and removes in {folder} and all that is below it"
            ),
            "whoever has that can remove every backup: let no host have it that is backed up"
                .to_owned(),
        ],
        Host::Restore => [
            format!("who runs lifeboat reads {folder} and enters all that is below it"),
            "no lock is taken then, so nobody may prune meanwhile".to_owned(),
        ],
    };
    needs.to_vec()
}

/// One customer's part of a bucket.
struct Part {
    bucket: String,
    /// Ends without a slash.
    folder: String,
}

impl Part {
    fn of(bucket: &S3Settings, customer: &Name) -> Self {
        let folder = match &bucket.folder {
            Some(folder) => format!("{folder}/{customer}"),
            None => customer.to_string(),
        };
        Self { bucket: bucket.bucket.clone(), folder }
    }

    fn below(&self, what: &str) -> String {
        format!("arn:aws:s3:::{}/{}/{what}", self.bucket, self.folder)
    }

    fn policy(&self, host: Host, principal: Option<&str>) -> Value {
        let mut statements = vec![
            json!({
                "Sid": "ListOneCustomer",
                "Effect": "Allow",
                "Action": ["s3:ListBucket"],
                "Resource": [format!("arn:aws:s3:::{}", self.bucket)],
                "Condition": { "StringLike": { "s3:prefix": [format!("{}/*", self.folder)] } },
            }),
            json!({
                "Sid": "ReadOneCustomer",
                "Effect": "Allow",
                "Action": ["s3:GetObject"],
                "Resource": [self.below("repo/*"), self.below("ledger/*")],
            }),
        ];
        let added = match host {
            Host::Backup | Host::Prune => Some(vec![self.below("repo/*"), self.below("ledger/*")]),
            Host::Drill => Some(vec![self.below("repo/locks/*"), self.below("ledger/*")]),
            Host::Restore => None,
        };
        if let Some(added) = added {
            statements.push(json!({
                "Sid": "Add",
                "Effect": "Allow",
                "Action": ["s3:PutObject"],
                "Resource": added,
            }));
            let removes = if host == Host::Prune {
                ["data/*", "index/*", "locks/*", "snapshots/*"].as_slice()
            } else {
                &["locks/*"]
            };
            let removed = removes.iter().map(|what| self.below(&format!("repo/{what}")));
            statements.push(json!({
                "Sid": "Remove",
                "Effect": "Allow",
                "Action": ["s3:DeleteObject"],
                "Resource": removed.collect::<Vec<_>>(),
            }));
        }
        if let Some(principal) = principal {
            for statement in &mut statements {
                statement["Principal"] = json!({ "AWS": [principal] });
            }
        }
        json!({ "Version": "2012-10-17", "Statement": statements })
    }

    fn reasons(&self, host: Host) -> Vec<String> {
        let mut reasons = vec![
            format!("s3:ListBucket below {}/: index files, snapshots, packs, records", self.folder),
            "s3:GetObject: whatever is read, and looked at after a lost answer".to_owned(),
        ];
        match host {
            Host::Backup => reasons.extend([
                "s3:PutObject: packs, index files, snapshots, locks, records; it allows replacing, \
                 too: versioning with Object Lock keeps what was there"
                    .to_owned(),
                REMOVES_LOCKS.to_owned(),
            ]),
            Host::Drill => reasons.extend([
                "s3:PutObject in repo/locks and ledger: a drill takes a lock and writes its \
                 records, and can alter no data"
                    .to_owned(),
                REMOVES_LOCKS.to_owned(),
            ]),
            Host::Prune => reasons.extend([
                "s3:PutObject: what is packed anew, index files, locks, records".to_owned(),
                "s3:DeleteObject in repo/snapshots (forget), repo/data and repo/index (prune) and \
                 repo/locks; versioning with Object Lock keeps what was removed"
                    .to_owned(),
            ]),
            Host::Restore => reasons.push(
                "nothing may be written: no lock is taken, so nobody may prune meanwhile, and \
                 records wait in this host's outbox"
                    .to_owned(),
            ),
        }
        if host != Host::Prune {
            reasons.push(
                "snapshots are never deleted with these keys: `forget` and `prune` need those of \
                 `--for prune`, on another host; a daemon without them says that it does not apply \
                 [retention]"
                    .to_owned(),
            );
        }
        reasons
    }
}

const REMOVES_LOCKS: &str = "s3:DeleteObject in repo/locks alone: every run removes its lock, \
                             `unlock` those of the dead, `doctor` its probe";

#[cfg(test)]
mod tests {
    use super::*;

    fn part() -> Part {
        Part { bucket: "backups".into(), folder: "lifeboat/acme".into() }
    }

    #[test]
    fn only_locks_may_be_deleted_and_a_restore_changes_nothing() {
        for host in [Host::Backup, Host::Drill, Host::Restore] {
            let policy = part().policy(host, None);
            for statement in policy["Statement"].as_array().unwrap() {
                if statement["Action"][0] == "s3:DeleteObject" {
                    let locks = json!(["arn:aws:s3:::backups/lifeboat/acme/repo/locks/*"]);
                    assert_eq!(statement["Resource"], locks);
                }
                assert!(statement.get("Principal").is_none());
            }
            let writes = policy.to_string().matches("PutObject").count();
            assert_eq!(writes, usize::from(host != Host::Restore), "{policy}");
        }
    }

    #[test]
    fn keys_that_prune_remove_data_and_never_the_ledger_or_the_configuration() {
        let policy = part().policy(Host::Prune, None);
        let statements = policy["Statement"].as_array().unwrap();
        let removes = statements.iter().find(|one| one["Action"][0] == "s3:DeleteObject").unwrap();
        let removed = removes["Resource"].to_string();
        assert!(removed.contains("repo/data/*") && removed.contains("repo/snapshots/*"));
        for kept in ["ledger", "config", "keys"] {
            assert!(!removed.contains(kept), "{removed}");
        }
    }

    #[test]
    fn a_principal_is_in_every_statement() {
        let policy = part().policy(Host::Backup, Some("arn:aws:iam::1:user/b"));

        let statements = policy["Statement"].as_array().unwrap();
        assert!(statements.iter().all(|one| one["Principal"]["AWS"][0] == "arn:aws:iam::1:user/b"));
    }
}
