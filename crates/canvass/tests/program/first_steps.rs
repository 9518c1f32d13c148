//! The first minutes: what the first start prints works when it is pasted.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Server, after, finish, program};

#[test]
fn the_lines_of_the_first_start_work_in_a_shell() {
    let server = Server::start(&[]);
    let lines: Vec<_> = server
        .greeting
        .lines()
        .filter(|line| line.starts_with("  export") || line.starts_with("  curl"))
        .collect();
    let output = finish(Command::new("sh").args(["-ec", &lines.join("; echo\n")]));
    let result = output.stdout.lines().last().unwrap();
    assert_eq!((output.code, lines.len()), (0, 4), "{}", output.stderr);
    let expected = r#""votes":1,"options":[{"id":"pizza","label":"Pizza","votes":1,"share":1.0},{"id":"soup","label":"Soup","votes":0,"share":0.0}],"winners":["pizza"]"#;
    assert!(result.contains(expected), "{result}");
}

#[test]
fn the_key_is_shown_once_and_later_starts_say_what_is_there() {
    let mut server = Server::start(&[]);
    server.poll("lunch", &["Pizza", "Soup"]);
    assert_eq!(server.run(&["vote", "lunch", "--voter", "ada", "--choice", "pizza"]).code, 0);
    assert_eq!(server.stop(), 0);
    server.restart();
    let expected = format!(
        "Canvass listens on http://{}\nData: {} (1 poll, 1 vote)\n",
        server.address,
        server.data().display()
    );
    assert_eq!(server.greeting, expected);
}

#[test]
#[cfg(target_os = "linux")]
fn the_service_manager_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let manager = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let heard = || {
        let mut text = [0; 256];
        let length = manager.recv(&mut text).unwrap();
        String::from_utf8_lossy(&text[..length]).trim().to_owned()
    };
    let mut command = program();
    command.arg("serve").arg("--data").arg(directory.path().join("data")).args(["--listen", "127.0.0.1:0"]);
    let mut process = command.env("NOTIFY_SOCKET", &path).stdout(Stdio::null()).spawn().unwrap();
    assert_eq!(heard(), "READY=1");
    kill_process(Pid::from_child(&process), Signal::TERM).unwrap();
    assert_eq!(heard(), "STOPPING=1");
    assert!(process.wait().unwrap().success());
}

/// The key that a first start makes is shown once.
#[test]
fn a_start_that_fails_makes_no_key() {
    let directory = tempfile::tempdir().unwrap();
    let (data, file) = (directory.path().join("data"), directory.path().join("file"));
    std::fs::write(&file, "").unwrap();
    let mut command = program();
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data).arg("--export-to").arg(file);
    let output = finish(&mut command);
    assert_eq!(output.code, 1, "{}", output.stderr);
    let server = Server::start_on(directory, &[], &[]);
    assert!(server.key.starts_with("canvass_"));
}

#[test]
fn a_given_admin_key_is_used_and_never_printed() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = program();
    command.arg("serve").arg("--data").arg(directory.path()).args(["--listen", "127.0.0.1:0"]);
    command.env("CANVASS_ADMIN_KEY", "a-secret-of-my-own");
    let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    thread::sleep(Duration::from_millis(1_500));
    kill_process(Pid::from_child(&process), Signal::TERM).unwrap();
    process.wait().unwrap();
    let printed = std::io::read_to_string(process.stdout.unwrap()).unwrap()
        + &std::io::read_to_string(process.stderr.unwrap()).unwrap();
    assert!(printed.contains("Canvass listens on") && !printed.contains("secret-of-my-own"), "{printed}");
    assert!(!printed.contains("canvass_"), "{printed}");
}

#[test]
fn the_demonstration_is_lively_and_ends_with_a_signal() {
    let mut demo =
        program().args(["demo", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines().map(Result::unwrap);
    let address = after(&lines.next().unwrap(), "runs on ").split(' ').next().unwrap().to_owned();
    let watch =
        program().args(["results", "lunch", "--watch", "--server", &address]).stdout(Stdio::piped()).spawn();
    // Five results that differ: it lives.
    let mut watch = watch.unwrap_or_else(|error| panic!("{error}"));
    let seen = BufReader::new(watch.stdout.take().unwrap()).lines().take(5).count();
    watch.kill().unwrap();
    watch.wait().unwrap();
    kill_process(Pid::from_child(&demo), Signal::INT).unwrap();
    assert_eq!((demo.wait().unwrap().code(), seen), (Some(0), 5));
}

#[test]
fn the_data_directory_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let server = Server::start(&[]);
    let mode = std::fs::metadata(server.data()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn a_second_server_on_the_directory_is_refused_with_the_reason() {
    let server = Server::start(&[]);
    let data = server.data();
    for command in [&["serve", "--listen", "127.0.0.1:0", "--data"][..], &["doctor"], &["doctor", "--data"]] {
        let output = finish(program().args(command).arg(&data));
        let expected = format!(
            "canvass: another server uses the data directory {}; stop it first, or give this one a directory of its own\n",
            data.display()
        );
        assert_eq!((output.code, output.stderr), (1, expected));
    }
}

#[test]
fn a_second_server_on_the_address_is_refused() {
    let server = Server::start(&[]);
    let other = server.directory.path().join("other");
    let output = finish(program().args(["serve", "--listen", &server.address, "--data"]).arg(&other));
    let expected =
        format!("canvass: cannot listen on {}: Address already in use (os error 98)\n", server.address);
    assert_eq!((output.code, output.stderr), (1, expected));
}
