//! moto's S3 server from PyPI, started for the tests of exports to object stores.

use std::{
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{
    outcome::{Context, Outcome},
    python, shell,
    test::FEATURES,
};

/// The server without what it would bring for services other than S3, which is twice as much again.
const PACKAGES: [&str; 3] = ["moto[s3]==5.2.5", "flask==3.1.3", "flask-cors==6.0.5"];
/// What the tests find it by.
const VARIABLE: &str = "CANVASS_TEST_S3";
/// One that a test tells to ask for signatures, which no other test could do with.
const VARIABLE_STRICT: &str = "CANVASS_TEST_S3_STRICT";
const STARTED_WAIT: Duration = Duration::from_millis(250);
const STARTED_WAITS_MAX: usize = 240;

/// Runs the tests that need it. Where it cannot be had that is said, and with `CI=true` it is an error.
pub(crate) fn test() -> Outcome {
    let Some(python) = python::with(&python::Wanted { folder: "moto", packages: &PACKAGES })? else {
        println!("object-stores: SKIPPED, all tests of exports to object stores");
        return Ok(());
    };
    let (open, strict) = (Server::start(&python)?, Server::start(&python)?);
    // Both packages in one command: chosen alone, each would have libraries with other features built anew.
    let packages = ["--package", "canvass-export", "--package", "canvass", "--features", FEATURES];
    let mut tests = Command::new("cargo");
    tests.arg("test").args(packages).args(["bucket", "--", "--include-ignored"]);
    shell::run_with(tests.env(VARIABLE, &open.endpoint).env(VARIABLE_STRICT, &strict.endpoint))
}

/// It runs until it is dropped, and keeps all in memory.
struct Server {
    child: Child,
    endpoint: String,
}

impl Server {
    fn start(python: &Path) -> Outcome<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let child = Command::new(python)
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("python -m moto.server")?;
        let server = Self { child, endpoint: format!("http://127.0.0.1:{port}") };
        for _ in 0..STARTED_WAITS_MAX {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Ok(server);
            }
            std::thread::sleep(STARTED_WAIT);
        }
        Err("moto's server does not listen".into())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
