//! Certificates by ACME from a real authority: Let's Encrypt's own test server, pebble.
//!
//! `cargo xtask test` names it in CANVASS_TEST_PEBBLE; without it this is shown as ignored.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Output, finish, program, run};

/// What pebble itself is believed by.
const CERTIFICATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/program/certificates");
const DOMAIN: &str = "votes.example.net";
const KEY: &str = "canary-of-the-admin-key";
/// How long its certificates are good for; the server renews when a third of it is left.
const CERTIFICATE_SECONDS: u32 = 24;

/// Ended when the test is.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// An authority, the names that it looks up, which are all this machine, and the server that it vouches for.
struct Scene {
    folder: TempDir,
    port: u16,
    management_port: u16,
    /// Where the authority asks for proofs.
    server_port: u16,
    names_port: u16,
    _names: Process,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let names_port = free_port();
        let mut names = Command::new("pebble-challtestsrv");
        names.arg(format!("-dns01=127.0.0.1:{names_port}"));
        names.arg(format!("-management=127.0.0.1:{}", free_port()));
        names.args(["-defaultIPv4=127.0.0.1", "-defaultIPv6=", "-http01=", "-https01=", "-tlsalpn01="]);
        let names = names.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let (port, management_port, server_port) = (free_port(), free_port(), free_port());
        Self { folder, port, management_port, server_port, names_port, _names: Process(names) }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn spawn(&self, command: &mut Command, log: &str) -> Process {
        let log = File::create(self.file(log)).unwrap();
        Process(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap())
    }

    /// The authority begins to answer.
    #[expect(clippy::disallowed_methods, reason = "a test's edge")]
    fn issue(&self) -> Process {
        let config = serde_json::json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{}", self.port),
            "managementListenAddress": format!("127.0.0.1:{}", self.management_port),
            "certificate": format!("{CERTIFICATES}/first.pem"),
            "privateKey": format!("{CERTIFICATES}/first.key"),
            "tlsPort": self.server_port,
            "certificateValidityPeriod": CERTIFICATE_SECONDS,
        }});
        fs::write(self.file("pebble.json"), config.to_string()).unwrap();
        let mut pebble =
            Command::new(std::env::var("CANVASS_TEST_PEBBLE").expect("cargo xtask test sets it"));
        pebble.args(["-dnsserver", &format!("127.0.0.1:{}", self.names_port), "-config"]);
        pebble.arg(self.file("pebble.json"));
        // It proves at once, and refuses no request by chance.
        pebble.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_WFE_NONCEREJECT", "0");
        self.spawn(&mut pebble, "pebble.log")
    }

    /// A server that gets its certificate here.
    fn serve(&self) -> Process {
        let mut command = program();
        command.arg("serve").arg("--data").arg(self.file("data")).args(["--log-format", "json"]);
        command.args(["--listen", &format!("127.0.0.1:{}", self.server_port)]);
        command.args(["--tls-acme-domain", &format!("{DOMAIN}, www.{DOMAIN}")]);
        command.args(["--tls-acme-email", "canary@example.net"]);
        command.args(["--tls-acme-directory", &format!("https://127.0.0.1:{}/dir", self.port)]);
        command.args(["--tls-acme-root", &format!("{CERTIFICATES}/authority.pem")]);
        self.spawn(command.env("CANVASS_ADMIN_KEY", KEY), "server.log")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.file("server.log")).unwrap()
    }

    /// Asks the server by curl, that connects by the domain's name.
    fn ask(&self, options: &[&str], path: &str) -> Output {
        let place = format!("{DOMAIN}:{}", self.server_port);
        let mut curl = Command::new("curl");
        curl.args([
            "-sS",
            "--fail-with-body",
            "--max-time",
            "20",
            "--resolve",
            &format!("{place}:127.0.0.1"),
        ]);
        finish(curl.args(options).arg(format!("https://{place}{path}")))
    }

    /// The same as one who believes the authority. A certificate may end just now on a slow machine: it is asked again.
    fn ask_believing(&self, path: &str, body: &str) -> Value {
        let root = self.file("root.pem").display().to_string();
        let key = format!("x-api-key: {KEY}");
        let mut options = vec!["--cacert", &root, "-H", &key, "-H", "idempotency-key: once"];
        if !body.is_empty() {
            options.extend(["-H", "content-type: application/json", "-d", body]);
        }
        let mut output = self.ask(&options, path);
        for _ in 0..20 {
            if output.code != 60 {
                break;
            }
            thread::sleep(Duration::from_secs(1));
            output = self.ask(&options, path);
        }
        assert_eq!(output.code, 0, "{path}: {output:?}");
        serde_json::from_str(&output.stdout).unwrap()
    }

    /// Learns whom the authority's certificates are believed by: it makes that anew each time it starts.
    fn fetch_root(&self) {
        let address = format!("https://127.0.0.1:{}/roots/0", self.management_port);
        let authority = format!("{CERTIFICATES}/authority.pem");
        let root = finish(Command::new("curl").args(["-sSf", "--cacert", &authority, &address]));
        assert_eq!(root.code, 0, "{root:?}");
        fs::write(self.file("root.pem"), root.stdout).unwrap();
    }

    /// The serial number of the authority's certificate that clients are shown, and the names in it; none if it is another's.
    fn certificate(&self) -> Option<(String, String)> {
        let line = format!(
            "echo | openssl s_client -connect 127.0.0.1:{} -servername {DOMAIN} 2>/dev/null | openssl x509 -noout -issuer -serial -ext subjectAltName",
            self.server_port
        );
        let shown = finish(Command::new("sh").args(["-c", &line])).stdout;
        let lines: Vec<&str> = shown.lines().map(str::trim).collect();
        let is_issued = lines.first().is_some_and(|issuer| issuer.contains("Pebble"));
        is_issued.then(|| (lines[1].to_owned(), lines.last().unwrap().to_string()))
    }

    /// Waits for another of its certificates than one that is known.
    fn wait_for_other_than(&self, known: &str) -> (String, String) {
        for _ in 0..240 {
            if let Some(shown) = self.certificate().filter(|(serial, _)| serial != known) {
                return shown;
            }
            thread::sleep(Duration::from_millis(500));
        }
        let pebble = fs::read_to_string(self.file("pebble.log")).unwrap_or_default();
        panic!("no certificate came:\n{}\n{pebble}", self.log());
    }

    fn wait_for_log(&self, text: &str) {
        for _ in 0..200 {
            if self.log().contains(text) {
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
        panic!("{text:?} is not in the log:\n{}", self.log());
    }
}

#[test]
#[ignore = "needs pebble: cargo xtask test"]
fn a_certificate_comes_by_acme_is_renewed_and_outlives_its_authority() {
    let scene = Scene::new();
    let server = scene.serve();
    // Nobody answers at the authority yet: that is told, and the server lives, but nobody is to believe it.
    scene.wait_for_log("ACME failed and is tried again");
    assert_eq!(scene.ask(&["-k"], "/livez").code, 0);
    assert_eq!(scene.ask(&[], "/livez").code, 60);
    let issuing = scene.issue();
    let (first, names) = scene.wait_for_other_than("");
    assert_eq!(names, "DNS:votes.example.net, DNS:www.votes.example.net");
    scene.fetch_root();
    scene.ask_believing("/v1/polls", r#"{"id":"p","title":"T","options":[{"id":"a"}],"status":"open"}"#);
    scene.ask_believing("/v1/polls/p/votes", r#"{"voterId":"ada","ballot":{"choice":"a"}}"#);
    // The server has begun anew by then, and shows what that got.
    let (second, _) = scene.wait_for_other_than(&first);
    scene.ask_believing("/v1/polls/p/votes", r#"{"voterId":"bob","ballot":{"choice":"a"}}"#);
    assert_eq!(scene.ask_believing("/v1/polls/p/results", "")["votes"], 2);
    scene.wait_for_log("a new certificate came by ACME and is in use");
    drop(issuing);
    // Without an authority, and after a restart, the last one serves on.
    let last = scene.wait_for_other_than("").0;
    assert!(!scene.log().contains(KEY) && !scene.log().contains("canary"), "{}", scene.log());
    drop(server);
    let _server = scene.serve();
    assert_eq!(scene.wait_for_other_than(&first).0, last, "the one before was {second}");
    check_files(&scene.file("data/acme"));
}

/// Only their owner may read the keys.
fn check_files(folder: &Path) {
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    let names = files.iter().map(|file| file.file_name().unwrap().to_str().unwrap());
    let mut kinds: Vec<_> = names.map(|name| name.split('-').next().unwrap()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["account", "certificate"]);
    assert_eq!(mode(folder), 0o700);
    assert!(files.iter().all(|file| mode(file) == 0o600), "{files:?}");
}

/// How a server with these options ends before it serves.
fn check(options: &[&str], expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data").display().to_string();
    let output = run(&[&["serve", "--listen", "127.0.0.1:0", "--data", &data][..], options].concat());
    assert_eq!((output.code, output.stderr), (2, format!("canvass: {expected}\n")), "{options:?}");
    assert!(!folder.path().join("data").exists());
}

#[test]
fn options_that_do_not_go_together_are_refused_before_anything_is_made() {
    check(
        &["--tls-acme-domain", DOMAIN, "--tls-certificate", "chain.pem", "--tls-key", "key.pem"],
        "TLS takes certificate files or --tls-acme-domain, not both",
    );
    check(
        &["--tls-acme-domain", DOMAIN, "--tls-acme-directory", "http://127.0.0.1:1/dir"],
        "--tls-acme-directory is an address that begins with https://",
    );
}
