//! As much of HTTP/1.1 as an S3 client and SeaweedFS speak with each other.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};

/// A request, byte for byte.
pub struct Request {
    head: Vec<u8>,
    body: Vec<u8>,
    method: String,
    /// Path and query, as sent.
    pub target: String,
}

/// An answer, its body whole and unframed.
pub struct Answer {
    pub status: u16,
    /// Status line and headers without those that frame the body.
    head: String,
    pub body: Vec<u8>,
    /// Of a HEAD: what it says of a body that does not come.
    bodiless: Option<String>,
}

impl Request {
    /// The next request; none once the client has hung up.
    pub fn read(client: &mut TcpStream) -> io::Result<Option<Self>> {
        let Some(head) = read_head(client)? else { return Ok(None) };
        let text = String::from_utf8_lossy(&head).into_owned();
        let mut first = text.lines().next().unwrap_or_default().split(' ');
        let method = first.next().unwrap_or_default().to_owned();
        let target = first.next().unwrap_or_default().to_owned();
        if header(&text, "expect").is_some() {
            client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let body = read_body(client, &text, false)?;
        Ok(Some(Self { head, body, method, target }))
    }

    pub fn is_list(&self) -> bool {
        self.method == "GET" && self.target.contains("list-type=2")
    }

    /// Its method, or `LIST`.
    pub fn act(&self) -> &str {
        if self.is_list() { "LIST" } else { &self.method }
    }

    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// Sends it to the service on a connection of its own and reads the answer.
    pub fn forward(&self, port: u16) -> io::Result<Answer> {
        let mut service = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        service.write_all(&self.head)?;
        service.write_all(&self.body)?;
        loop {
            let head = read_head(&mut service)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            let text = String::from_utf8_lossy(&head).into_owned();
            let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
            if status == 100 {
                continue;
            }
            let has_none = self.method == "HEAD" || matches!(status, 204 | 304);
            let body = if has_none { Vec::new() } else { read_body(&mut service, &text, true)? };
            let framing = ["content-length:", "transfer-encoding:", "connection:"];
            let kept = text.trim_end().lines().filter(|line| {
                !framing.iter().any(|name| line.to_ascii_lowercase().starts_with(name))
            });
            let head = kept.map(|line| format!("{line}\r\n")).collect();
            let bodiless = has_none.then(|| header(&text, "content-length").unwrap_or_default());
            return Ok(Answer { status, head, body, bodiless });
        }
    }
}

impl Answer {
    pub fn refusal(status: u16, code: &str) -> Self {
        Self {
            status,
            head: format!("HTTP/1.1 {status} Refused\r\nContent-Type: application/xml\r\n"),
            body: error(code),
            bodiless: None,
        }
    }

    pub fn error_inside() -> Self {
        Self::refusal(200, "InternalError")
    }

    pub fn bytes(&self) -> Vec<u8> {
        match self.bodiless.as_deref() {
            Some("") => format!("{}\r\n", self.head).into_bytes(),
            Some(length) => format!("{}Content-Length: {length}\r\n\r\n", self.head).into_bytes(),
            None => self.with(self.body.len()),
        }
    }

    /// Announces all of the body and brings half of it.
    pub fn cut_in_half(&self) -> Vec<u8> {
        self.with(self.body.len() / 2)
    }

    fn with(&self, bytes: usize) -> Vec<u8> {
        let head = format!("{}Content-Length: {}\r\n\r\n", self.head, self.body.len());
        [head.as_bytes(), &self.body[..bytes]].concat()
    }
}

fn error(code: &str) -> Vec<u8> {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <Error><Code>{code}</Code><Message>a fault of the proxy</Message></Error>"
    )
    .into_bytes()
}

/// Up to and with the empty line; none where the other side hung up before it began.
fn read_head(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte)? {
            0 if head.is_empty() => return Ok(None),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => head.push(byte[0]),
        }
    }
    Ok(Some(head))
}

fn read_body(stream: &mut TcpStream, head: &str, to_the_end: bool) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if header(head, "transfer-encoding").is_some_and(|how| how.contains("chunked")) {
        loop {
            let line = read_line(stream)?;
            let size = usize::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
            let start = body.len();
            body.resize(start + size, 0);
            stream.read_exact(&mut body[start..])?;
            read_line(stream)?;
            if size == 0 {
                return Ok(body);
            }
        }
    }
    match header(head, "content-length") {
        Some(length) => {
            body.resize(length.parse().map_err(io::Error::other)?, 0);
            stream.read_exact(&mut body)?;
        }
        None if to_the_end => {
            stream.read_to_end(&mut body)?;
        }
        None => {}
    }
    Ok(body)
}

fn read_line(stream: &mut TcpStream) -> io::Result<String> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while !line.ends_with(b"\n") {
        stream.read_exact(&mut byte)?;
        line.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

fn header(head: &str, name: &str) -> Option<String> {
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}
