//! Two servers, each a process of its own, on the same tables and the same Redis, which speaks TLS and asks for a
//! password.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::harness::Server;

const PASSWORD: &str = "p-word";
/// Seconds that forty requests take on a slow machine; without shared limits each server would allow eight by itself.
const SECONDS_MAX: usize = 4;

/// What openssl makes a certificate of: for this machine alone, and nobody else's authority.
const CERTIFICATE: &str = "[req]\ndistinguished_name=name\nx509_extensions=extensions\nprompt=no\n\
    [name]\nCN=localhost\n[extensions]\nsubjectAltName=IP:127.0.0.1\nbasicConstraints=critical,CA:FALSE\n";

/// A Redis that speaks nothing but TLS. It ends when dropped.
struct Redis {
    port: u16,
    certificate: PathBuf,
    folder: PathBuf,
    process: Child,
}

impl Redis {
    fn start(folder: &Path) -> Self {
        let (key, certificate) = (folder.join("key.pem"), folder.join("certificate.pem"));
        let settings = folder.join("certificate.conf");
        fs::write(&settings, CERTIFICATE).unwrap();
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"])
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .arg("-config")
            .arg(&settings)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let process = launch(port, folder);
        let redis = Self { port, certificate, folder: folder.to_owned(), process };
        redis.wait();
        redis
    }

    fn wait(&self) {
        wait_until("redis-server listens", || TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok());
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn restart(&mut self) {
        self.process = launch(self.port, &self.folder);
        self.wait();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have been killed before.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn launch(port: u16, folder: &Path) -> Child {
    let mut command = Command::new(variable("CANVASS_TEST_REDIS"));
    command.args(["--port", "0", "--tls-port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
    command.args(["--appendonly", "no", "--requirepass", PASSWORD, "--tls-auth-clients", "no"]);
    command.arg("--tls-cert-file").arg(folder.join("certificate.pem"));
    command.arg("--tls-key-file").arg(folder.join("key.pem"));
    command.stdout(Stdio::null()).spawn().unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a test's edge")]
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is set by cargo xtask test"))
}

fn vote(server: &Server, voter: &str, choice: &str) {
    let output = server.run(&["vote", "lunch", "--voter", voter, "--choice", choice]);
    assert_eq!(output.code, 0, "{}", output.stderr);
}

/// Waits for up to half a minute.
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    const PAUSE: Duration = Duration::from_millis(50);
    for _ in 0..600 {
        if is_so() {
            return;
        }
        std::thread::sleep(PAUSE);
    }
    panic!("never: {what}");
}

/// Waits until a server tells so many votes.
fn wait_for_votes(server: &Server, votes: u64) {
    wait_until(&format!("{votes} votes"), || server.votes("lunch") == votes);
}

fn is_up(server: &Server) -> bool {
    told(server).contains("canvass_redis_up 1")
}

/// A server's metrics.
fn told(server: &Server) -> String {
    let (status, metrics) = server.connect().request("GET", "/metrics", "").unwrap();
    assert_eq!(status, 200);
    metrics
}

fn wait_for_redis(servers: [&Server; 2]) {
    wait_until("both servers find Redis", || servers.into_iter().all(is_up));
}

#[test]
#[ignore = "needs DynamoDB Local and Redis: cargo xtask test"]
fn two_servers_share_votes_limits_and_live_results_through_redis() {
    let folder = tempfile::tempdir().unwrap();
    let mut redis = Redis::start(folder.path());
    let prefix = format!("servers-{}", std::process::id());
    let url = format!("rediss://:{PASSWORD}@127.0.0.1:{}", redis.port);
    let on = [
        "--store",
        "dynamodb",
        "--table-prefix",
        &prefix,
        "--dynamodb-endpoint",
        &variable("CANVASS_TEST_DYNAMODB"),
        "--redis",
        &url,
    ];
    let trusted = [("SSL_CERT_FILE", redis.certificate.to_str().unwrap())];
    let mut first = Server::start_in(&trusted, &on);
    let second = Server::beside(&first, &trusted, &on);
    assert!(!first.greeting.contains(PASSWORD) && !second.greeting.contains(PASSWORD));
    wait_for_redis([&first, &second]);
    first.poll("lunch", &["Pizza", "Soup"]);

    // Who watches on the one is told of votes on the other.
    let mut watcher = second.connect();
    let head = format!(
        "GET /v1/polls/lunch/results/stream HTTP/1.1\r\nhost: test\r\nx-api-key: {}\r\n\r\n",
        second.key
    );
    watcher.send(head.as_bytes()).unwrap();
    for (voter, choice) in [("ada", "pizza"), ("bob", "soup"), ("cy", "soup")] {
        vote(&first, voter, choice);
    }
    while !watcher.line().unwrap().contains(r#""votes":3"#) {}

    // Whoever does not trust the certificate, or does not know the password, goes on without Redis.
    let other_password = url.replace(PASSWORD, "another");
    for (environment, url) in [(&[][..], &url), (&trusted[..], &other_password)] {
        let mut on = on;
        on[on.len() - 1] = url;
        let third = Server::beside(&first, environment, &on);
        wait_until("it has tried", || !told(&third).contains("canvass_redis_failures_total 0"));
        assert!(!is_up(&third));
        wait_for_votes(&third, 3);
    }

    // A key's requests are counted together.
    let made = first.json(&["key", "create", "slow", "--scope", "polls:read", "--rate", "1", "--burst", "8"]);
    let secret = made["secret"].as_str().unwrap();
    let asks = |server: &Server| {
        let mut connection = server.connect();
        let request = format!(
            "GET /v1/polls/lunch HTTP/1.1\r\nhost: test\r\nx-api-key: {secret}\r\nconnection: close\r\n\r\n"
        );
        connection.send(request.as_bytes()).unwrap();
        connection.answer().unwrap().0
    };
    wait_until("the second server knows the key", || asks(&second) != 401);
    let allowed = (0..40).filter(|turn| asks([&first, &second][turn % 2]) == 200).count();
    assert!(allowed <= 8 + SECONDS_MAX, "{allowed} of 40 requests");

    // Redis goes and comes, and so does a server, and each vote counts once.
    redis.kill();
    vote(&second, "dee", "pizza");
    wait_for_votes(&first, 4);
    redis.restart();
    wait_for_redis([&first, &second]);
    first.kill();
    vote(&second, "eve", "pizza");
    assert_eq!(second.run(&["vote", "lunch", "--voter", "eve", "--choice", "soup"]).code, 1);
    wait_for_votes(&second, 5);
    let recount = second.json(&["recount", "lunch"]);
    assert_eq!(recount["matches"], true, "{recount}");
}
