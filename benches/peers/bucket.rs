//! A bucket on a local SeaweedFS, and how each tool is led to it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;

use super::seaweed::{ADMIN, Seaweed, free_ports, identities, wait_for};

/// A server for the whole run.
pub struct Server {
    seaweed: Seaweed,
    metrics: u16,
}

impl Server {
    pub fn start() -> Self {
        let [metrics] = free_ports::<1>();
        Self {
            seaweed: Seaweed::start(&identities(), &[format!("-metricsPort={metrics}")]),
            metrics,
        }
    }

    /// A new bucket.
    pub fn bucket(&self, name: &str) -> Bucket<'_> {
        Bucket { server: self, name: self.seaweed.bucket(name) }
    }
}

/// One tool's bucket.
pub struct Bucket<'a> {
    server: &'a Server,
    name: String,
}

impl Bucket<'_> {
    /// Requests that the server answered so far, by its own count.
    pub fn requests(&self) -> u64 {
        let mut stream =
            TcpStream::connect((Ipv4Addr::LOCALHOST, self.server.metrics)).expect("its metrics");
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").expect("a request");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer");
        let counts = text.lines().filter(|line| line.starts_with("SeaweedFS_s3_request_total{"));
        counts.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64
    }

    /// Bytes of all objects.
    pub fn stored(&self) -> u64 {
        let (client, name) = (self.server.seaweed.client(), self.name.clone());
        wait_for(async move {
            let mut pages = client.list_objects_v2().bucket(name).into_paginator().send();
            let mut bytes = 0;
            while let Some(page) = pages.next().await {
                let page = page.expect("a listing");
                bytes += page.contents().iter().filter_map(|object| object.size()).sum::<i64>();
            }
            bytes as u64
        })
    }

    pub fn write_secret(&self, place: &Path) {
        use std::os::unix::fs::PermissionsExt as _;

        for (name, text) in [("access", ADMIN.access), ("secret", ADMIN.secret)] {
            fs::write(place.join(name), text).expect("a file");
            let mode = fs::Permissions::from_mode(0o600);
            fs::set_permissions(place.join(name), mode).expect("our file");
        }
    }

    pub fn lifeboats(&self, place: &Path) -> String {
        let (here, endpoint) = (place.display(), self.server.seaweed.endpoint());
        format!(
            "url = \"s3://{}/lifeboat\"\nendpoint = \"{endpoint}\"\n\
             access_key = {{ file = \"{here}/access\" }}\nsecret_key = {{ file = \"{here}/secret\" }}",
            self.name
        )
    }

    pub fn restics<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        let endpoint = self.server.seaweed.endpoint();
        command.arg("-r").arg(format!("s3:{endpoint}/{}/restic", self.name));
        command.env("AWS_ACCESS_KEY_ID", ADMIN.access).env("AWS_SECRET_ACCESS_KEY", ADMIN.secret)
    }

    pub fn rustics(&self) -> String {
        format!(
            "[repository]\nrepository = \"opendal:s3\"\n[repository.options]\nbucket = \"{}\"\n\
             root = \"/rustic\"\nendpoint = \"{}\"\nregion = \"us-east-1\"\n\
             access_key_id = \"{}\"\nsecret_access_key = \"{}\"\n",
            self.name,
            self.server.seaweed.endpoint(),
            ADMIN.access,
            ADMIN.secret,
        )
    }
}
