//! A bucket as a test looks at it: directly, past the proxy.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

/// Whose objects these are; the server looks at the signature only when it is told to.
const CALLER: &str =
    "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";

/// A bucket on a server of moto's.
pub(crate) struct S3 {
    server: String,
    bucket: String,
}

impl S3 {
    /// Makes a bucket on the server that a variable names.
    #[expect(clippy::disallowed_methods, reason = "a test's edge")]
    pub(crate) fn new(variable: &str, bucket: &str) -> Self {
        let url = std::env::var(variable).expect("cargo xtask test sets it");
        let server = url.strip_prefix("http://").unwrap().to_owned();
        let s3 = Self { server, bucket: bucket.to_owned() };
        s3.ask("PUT", &format!("/{bucket}"), "");
        s3
    }

    /// The server's address and port.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    /// The names of all objects, in order.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.list("?list-type=2")
    }

    /// The names of what is being uploaded in parts.
    pub(crate) fn uploads(&self) -> Vec<String> {
        self.list("?uploads")
    }

    pub(crate) fn get(&self, key: &str) -> Vec<u8> {
        self.ask("GET", &format!("/{}/{key}", self.bucket), "")
    }

    /// Whether requests of unknown callers are refused from now on.
    pub(crate) fn ask_for_signatures(&self, is_asked: bool) {
        self.ask("POST", "/moto-api/reset-auth", if is_asked { "0" } else { "1000000" });
    }

    fn list(&self, query: &str) -> Vec<String> {
        let listed = String::from_utf8(self.ask("GET", &format!("/{}{query}", self.bucket), "")).unwrap();
        let names = listed.split("<Key>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned());
        names.collect()
    }

    /// The body of an answer that says 200.
    fn ask(&self, method: &str, path: &str, body: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(&self.server).unwrap();
        let length = body.len();
        let host = &self.server;
        let request = format!(
            "{method} {path} HTTP/1.0\r\nhost: {host}\r\ncontent-length: {length}\r\nauthorization: {CALLER}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        assert!(head.lines().next().unwrap().contains(" 200 "), "{method} {path}: {head}");
        answer.split_off(end + 4)
    }
}
