//! The alarms and the dashboard in `deploy/`, by a real Prometheus that scrapes a real server: every rule fires when it
//! should, every expression can be evaluated, and every metric that they name exists.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    http::Client,
    machine,
    outcome::{Context, Failure, Outcome, ensure},
    server::{ADMIN_KEY, Server, free_address},
    shell,
};

const RULES: &str = "deploy/prometheus/alerts.yml";
const RULE_TESTS: &str = "deploy/prometheus/alerts.test.yml";
const DASHBOARD: &str = "deploy/grafana/canvass.json";
/// How long Prometheus may take to start and to scrape twice.
const SCRAPED_WAIT_MAX: Duration = Duration::from_mins(1);

/// Tests them with the program that is built. Where Prometheus cannot be had that is said, and with `CI=true` it is an
/// error.
pub(crate) fn test(program: &Path) -> Outcome {
    if !machine::get(&["prometheus"], are_there) {
        ensure(!machine::is_ci(), || "Prometheus is not installed".into())?;
        println!("prometheus: SKIPPED, alarms and dashboard: they need Debian's package prometheus");
        return Ok(());
    }
    shell::run("promtool", &["check", "rules", RULES])?;
    shell::run("promtool", &["test", "rules", RULE_TESTS])?;
    let folder = tempfile::Builder::new().prefix("canvass-prometheus-").tempdir()?;
    let server = serve(program, folder.path())?;
    let metrics = use_server(&mut server.client())?;
    check_metrics(&metrics)?;
    let prometheus = Prometheus::start(folder.path(), server.address)?;
    let expressions = expressions()?;
    let missing = prometheus.missing(&expressions)?;
    ensure(missing.is_empty(), || format!("named in {RULES} or {DASHBOARD}, but not a metric: {missing:?}"))?;
    for expression in &expressions {
        prometheus.query(expression)?;
    }
    println!("prometheus: {} expressions hold", expressions.len());
    Ok(())
}

fn are_there() -> bool {
    shell::works("promtool", &["--version"]) && shell::works("prometheus", &["--version"])
}

/// A server with all that has figures of its own.
fn serve(program: &Path, folder: &Path) -> Outcome<Server> {
    let (data, backup, address) = (folder.join("data"), folder.join("backup"), free_address()?);
    let mut command = Command::new(program);
    command.arg("serve").arg("--data").arg(&data).arg("--backup-to").arg(backup);
    let configuration = folder.join("canvass.toml");
    fs::write(&configuration, "[[alarm]]\nname = \"vote-volume\"\n")?;
    command.arg("--config").arg(configuration).args(["--listen", &address.to_string()]);
    Server::spawn(command, &data, address)?.until_ready()
}

/// Has something counted in every figure that has labels, and gives the figures.
fn use_server(client: &mut Client) -> Outcome<String> {
    let poll = json!({"id": "lunch", "title": "Lunch?", "options": [{"id": "a"}, {"id": "b"}], "status": "open",
        "demographics": {"ageGroup": ["18-24", "25+"]}});
    let vote = json!({"voterId": "ada", "ballot": {"choice": "a"}, "demographics": {"ageGroup": "25+"}});
    for (path, body, expected) in [
        ("/v1/polls", &poll, 201),
        ("/v1/polls/lunch/votes", &vote, 201),
        ("/v1/polls/lunch/votes", &vote, 409),
    ] {
        let answer = client.post(path, body)?;
        ensure(answer.status == expected, || format!("{path}: {}", answer.shown()))?;
    }
    Ok(String::from_utf8(client.get("/metrics")?.body)?)
}

/// Names, units and help by Prometheus's own conventions.
fn check_metrics(metrics: &str) -> Outcome {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("promtool check metrics")?;
    child.stdin.take().ok_or("promtool takes no input")?.write_all(metrics.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure(output.status.success() && output.stderr.is_empty() && output.stdout.is_empty(), || {
        let said = [output.stdout, output.stderr].concat();
        format!("promtool check metrics:\n{}", String::from_utf8_lossy(&said))
    })
}

/// Every expression of the rules and the dashboard, with Grafana's variables filled in.
fn expressions() -> Outcome<Vec<String>> {
    let rules = fs::read_to_string(shell::root().join(RULES)).context(RULES)?;
    let of_rules = rules.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).map(str::to_owned);
    let dashboard = fs::read_to_string(shell::root().join(DASHBOARD)).context(DASHBOARD)?;
    let dashboard: Value = serde_json::from_str(&dashboard).context(DASHBOARD)?;
    let panels = dashboard["panels"].as_array().ok_or("the dashboard has no panels")?;
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let of_panels = targets.filter_map(|target| target["expr"].as_str());
    let filled = |text: &str| text.replace("$__rate_interval", "1m").replace("$instance", ".*");
    let expressions: Vec<_> = of_rules.chain(of_panels.map(filled)).collect();
    ensure(expressions.len() > 30, || format!("{} expressions are too few", expressions.len()))?;
    Ok(expressions)
}

/// The names of this project's metrics in an expression. Labels and their values hold none.
fn names(expression: &str) -> impl Iterator<Item = &str> {
    let words = expression.split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
    words.filter(|word| word.starts_with("canvass_"))
}

/// A Prometheus that scrapes a server each second. It ends when it is dropped.
struct Prometheus {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
}

impl Prometheus {
    fn start(folder: &Path, server: SocketAddr) -> Outcome<Self> {
        let (configuration, key) = (folder.join("prometheus.yml"), folder.join("key"));
        fs::write(&key, ADMIN_KEY)?;
        let rules = shell::root().join(RULES);
        fs::write(&configuration, configure(&rules, &key, server))?;
        let (address, log) = (free_address()?, folder.join("prometheus.log"));
        let file = File::create(&log)?;
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", configuration.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.join("series").display()));
        command.arg(format!("--web.listen-address={address}"));
        let output = (file.try_clone()?, file);
        let child = command.stdin(Stdio::null()).stdout(output.0).stderr(output.1).spawn();
        let prometheus = Self { child: child.context("prometheus")?, address, log };
        prometheus.wait_until_scraped()?;
        Ok(prometheus)
    }

    fn wait_until_scraped(&self) -> Outcome {
        let started = Instant::now();
        // A rate needs two scrapes.
        while !self.query("count_over_time(up{job=\"canvass\"}[1m]) > 1").is_ok_and(|found| !found.is_empty())
        {
            ensure(started.elapsed() < SCRAPED_WAIT_MAX, || {
                format!("Prometheus does not scrape:\n{}", fs::read_to_string(&self.log).unwrap_or_default())
            })?;
            thread::sleep(Duration::from_millis(200));
        }
        let up = self.query("up{job=\"canvass\"} == 1")?;
        ensure(!up.is_empty(), || "the server cannot be scraped".into())
    }

    /// What an expression comes to.
    fn query(&self, expression: &str) -> Outcome<Vec<Value>> {
        let answer = self.get(&format!("/api/v1/query?query={}", encode(expression)))?;
        answer["result"].as_array().cloned().ok_or_else(|| format!("{expression}: {answer}").into())
    }

    /// The metrics that expressions name and that were not scraped.
    fn missing<'e>(&self, expressions: &'e [String]) -> Outcome<BTreeSet<&'e str>> {
        let known = self.get("/api/v1/label/__name__/values")?;
        let known = known.as_array().ok_or("Prometheus knows no metric")?;
        let named = expressions.iter().flat_map(|expression| names(expression));
        Ok(named.filter(|name| !known.iter().any(|known| known == name)).collect())
    }

    fn get(&self, path: &str) -> Outcome<Value> {
        let answer = Client::new(self.address, "").get(path)?;
        let mut body = answer.json();
        if body["status"] == "success" {
            return Ok(body["data"].take());
        }
        Err(Failure::from(format!("{path}: {}", answer.shown())))
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn configure(rules: &Path, key: &Path, server: SocketAddr) -> String {
    let (rules, key) = (rules.display(), key.display());
    format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: ['{rules}']\nscrape_configs:\n  \
         - job_name: canvass\n    static_configs: [{{targets: ['{server}']}}]\n    \
         authorization: {{credentials_file: '{key}'}}\n"
    )
}

/// A text as a value of a query.
fn encode(text: &str) -> String {
    let byte = |byte: u8| ['%', digit(byte >> 4), digit(byte & 15)];
    text.bytes().flat_map(byte).collect()
}

fn digit(number: u8) -> char {
    char::from_digit(number.into(), 16).unwrap_or('0')
}
