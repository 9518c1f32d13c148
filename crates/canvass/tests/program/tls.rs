//! HTTPS by certificate files, that may change while the server runs; and what a program without it says.
//!
//! With the feature `tls`, which `cargo xtask test` turns on.

#[cfg(feature = "tls")]
use std::{fs, path::Path, process::Stdio, time::Duration};

use crate::harness::run;
#[cfg(feature = "tls")]
use crate::harness::{Output, after, finish, program};

#[cfg(feature = "tls")]
const CERTIFICATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/program/certificates");

#[test]
fn one_file_without_the_other_is_refused() {
    let output = run(&["serve", "--listen", "127.0.0.1:0", "--data", "/nonexistent/data", "--tls-key", "x"]);
    assert_eq!(output.code, 2);
    assert!(output.stderr.contains("TLS takes both --tls-certificate and --tls-key"), "{}", output.stderr);
}

#[test]
#[cfg(not(feature = "tls"))]
fn a_program_without_tls_says_how_to_have_it() {
    let output = run(&["results", "lunch", "--server", "https://127.0.0.1:1"]);
    assert_eq!(output.code, 2);
    assert_eq!(
        output.stderr,
        "canvass: https://127.0.0.1:1: this program was built without https; build it with `cargo build --release --features tls`\n"
    );
}

/// A server with TLS, ended when the test is.
#[cfg(feature = "tls")]
struct Server {
    directory: tempfile::TempDir,
    process: std::process::Child,
    url: String,
}

#[cfg(feature = "tls")]
impl Server {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str| directory.path().join(name);
        put(&place(""), "first");
        let mut command = program();
        command.arg("serve").arg("--data").arg(place("data")).args(["--listen", "127.0.0.1:0"]);
        command.arg("--tls-certificate").arg(place("chain.pem")).arg("--tls-key").arg(place("key.pem"));
        command.args(["--head-seconds", "1", "--log", "off"]).env("CANVASS_ADMIN_KEY", "secret-of-the-test");
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut greeting = String::new();
        let mut lines = std::io::BufReader::new(process.stdout.take().unwrap());
        while !greeting.contains("Data:") {
            assert!(std::io::BufRead::read_line(&mut lines, &mut greeting).unwrap() > 0, "{greeting}");
        }
        let url = after(&greeting, "Canvass listens on ").to_owned();
        Self { directory, process, url }
    }

    /// A command of the program against the server, believing an authority.
    fn run(&self, authority: &str, arguments: &[&str]) -> Output {
        let mut command = program();
        command.args(arguments).args(["--server", &self.url]);
        command.env("CANVASS_KEY", "secret-of-the-test");
        command.env("SSL_CERT_FILE", Path::new(CERTIFICATES).join(authority));
        finish(&mut command)
    }

    /// Whom the server says it is, as openssl tells it.
    fn name(&self) -> String {
        let address = self.url.strip_prefix("https://").unwrap();
        let command =
            format!("echo | openssl s_client -connect {address} 2>/dev/null | openssl x509 -noout -subject");
        let output = finish(std::process::Command::new("sh").args(["-c", &command]));
        output.stdout.trim().to_owned()
    }
}

#[cfg(feature = "tls")]
impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Puts a certificate and its key where the server reads them.
#[cfg(feature = "tls")]
fn put(folder: &Path, name: &str) {
    for (suffix, file) in [("key", "key.pem"), ("pem", "chain.pem")] {
        fs::copy(format!("{CERTIFICATES}/{name}.{suffix}"), folder.join(file)).unwrap();
    }
}

#[test]
#[cfg(feature = "tls")]
fn votes_are_cast_and_counted_over_https() {
    let server = Server::start();
    assert!(server.url.starts_with("https://127.0.0.1:"), "{}", server.url);
    let poll = ["poll", "create", "Lunch?", "--id", "lunch", "pizza", "soup", "--open"];
    let output = server.run("authority.pem", &poll);
    assert_eq!(output.code, 0, "{}", output.stderr);
    let vote = ["vote", "lunch", "--voter", "ada", "--choice", "pizza"];
    assert_eq!(server.run("authority.pem", &vote).code, 0);
    // Of an authority that is not believed, nothing is.
    let output = server.run("renewed.pem", &["results", "lunch"]);
    assert_eq!(output.code, 1, "{}", output.stdout);
    assert!(output.stderr.contains("certificate"), "{}", output.stderr);
    let output = server.run("authority.pem", &["results", "lunch", "--json"]);
    assert!(output.stdout.contains("\"votes\":1"), "{}", output.stdout);
}

#[test]
#[cfg(feature = "tls")]
fn a_certificate_is_renewed_while_the_server_runs() {
    let server = Server::start();
    let folder = server.directory.path();
    assert!(server.name().ends_with("first"), "{}", server.name());
    // A key that does not go with the certificate changes nothing.
    fs::copy(format!("{CERTIFICATES}/renewed.key"), folder.join("key.pem")).unwrap();
    std::thread::sleep(Duration::from_secs(5));
    assert!(server.name().ends_with("first"), "{}", server.name());
    put(folder, "renewed");
    std::thread::sleep(Duration::from_secs(5));
    assert!(server.name().ends_with("renewed"), "{}", server.name());
}

#[test]
#[cfg(feature = "tls")]
fn whoever_does_not_speak_tls_is_closed() {
    use std::{io::Read as _, io::Write as _, net::TcpStream};
    let server = Server::start();
    let address = server.url.strip_prefix("https://").unwrap();
    for said in [&b""[..], b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", &[0x16, 3, 1]] {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(said).unwrap();
        let mut told = Vec::new();
        // A reset is an end too.
        let _ = stream.read_to_end(&mut told);
        assert!(!told.starts_with(b"HTTP"), "{said:?}");
    }
    assert_eq!(server.run("authority.pem", &["poll", "list"]).code, 0);
}
