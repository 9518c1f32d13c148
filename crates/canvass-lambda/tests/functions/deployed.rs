//! The archives as they are deployed, in the template's own environment: its tables and its bucket, its variables and no
//! others, and what each role may do. A poll's whole story is played, from its creation to export and certification.
//!
//! `cargo xtask test` plays it with a build for development, `cargo xtask package --story` with the archives that are
//! deployed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{File, Permissions},
    io,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    calls::{BUCKETS, Calls, TABLES},
    gateway::Api,
    harness::ADMIN,
    http::{Message, ask},
    story,
    template::Template,
    world::{Functions, Launch, Program, endpoint, random},
};

/// What the archives and the server of S3 and Secrets Manager are found by.
const ARCHIVES: &str = "CANVASS_TEST_ARCHIVES";
const CLOUD: &str = "CANVASS_TEST_S3";
/// Lambda starts this in an archive, by the template's handler.
const ENTRY: &str = "bootstrap";
/// A real one, for moto knows them; in any other a bucket has to say that it is meant to be there.
const REGION: &str = "us-east-1";

/// What a role may do and the code does not ask for itself in this story, and why it may.
const NOT_ASKED_FOR: [(&str, &str); 11] = [
    ("api: logs:CreateLogStream", "Lambda writes the log"),
    ("api: logs:PutLogEvents", "Lambda writes the log"),
    ("export: logs:CreateLogStream", "Lambda writes the log"),
    ("export: logs:PutLogEvents", "Lambda writes the log"),
    ("export: s3:ListBucket", "without it S3 says of a file that is not there that it is forbidden"),
    ("tally: dynamodb:GetRecords", "Lambda reads the stream"),
    ("tally: dynamodb:GetShardIterator", "Lambda reads the stream"),
    ("tally: dynamodb:ListStreams", "Lambda reads the stream"),
    ("tally: logs:CreateLogStream", "Lambda writes the log"),
    ("tally: logs:PutLogEvents", "Lambda writes the log"),
    ("tally: sqs:SendMessage", "Lambda tells what was given up"),
];

/// The stack, as far as this machine has it.
struct Stack {
    template: Template,
    cloud: SocketAddr,
    bucket: String,
    calls: BTreeMap<String, Calls>,
    functions: Functions,
    _unpacked: TempDir,
}

impl Stack {
    async fn deploy() -> Self {
        let (tables, cloud) = (
            address(&endpoint()),
            address(&variable(CLOUD).expect("cargo xtask test starts moto and says where")),
        );
        let name = format!("canvass-{:016x}", random());
        let given = [("FunctionsBucket", "functions"), ("FunctionsPrefix", "canvass/0.1.0/")];
        let mut template = Template::read(&given, pseudo_parameters(&name));
        make_tables(&mut template, tables);
        let bucket = make_bucket(&mut template, &name, cloud);
        make_secret(&mut template, &name, cloud);
        template.make("TallyDeadLetters.Arn", "arn:aws:sqs:dead-letters");
        for log in names(&template, "AWS::Logs::LogGroup") {
            template.make(&format!("{log}.Arn"), format!("arn:aws:logs:{log}"));
        }
        let unpacked = tempfile::tempdir().unwrap();
        let mut calls = BTreeMap::new();
        let mut launches = BTreeMap::new();
        for (_, properties) in template.of("AWS::Lambda::Function") {
            let function = archive_of(&template, properties);
            let watched = calls.entry(function.clone()).or_insert_with(Calls::default);
            let mut variables = environment_of(&template, properties);
            for (service, server) in [
                ("DYNAMODB", tables),
                ("DYNAMODB_STREAMS", tables),
                ("S3", cloud),
                ("SECRETS_MANAGER", cloud),
            ] {
                let proxy = watched.watch(server).unwrap();
                variables.push((format!("AWS_ENDPOINT_URL_{service}"), format!("http://{proxy}")));
            }
            variables.push(("AWS_REGION".into(), REGION.into()));
            let path = unpack(&function, unpacked.path());
            launches.insert(function, Launch { path, variables });
        }
        let functions = Functions::on(&format!("{name}-votes"), launches, Api::Rest).await;
        Self { template, cloud, bucket, calls, functions, _unpacked: unpacked }
    }

    fn read(&self, key: &str) -> String {
        let path = format!("/{}/{}/{key}", self.bucket, "canvass");
        let answer = ask(self.cloud, &signed(&format!("GET {path} HTTP/1.1"), "s3", "")).unwrap();
        assert_eq!(answer.target(), "200", "{path}");
        String::from_utf8(answer.body).unwrap()
    }

    /// Everything that was asked is granted; what is granted and was not asked for is told.
    fn not_asked_for(&self) -> BTreeSet<String> {
        let mut idle = BTreeSet::new();
        for (_, properties) in self.template.of("AWS::Lambda::Function") {
            let function = archive_of(&self.template, properties);
            let granted = granted(&self.template, properties);
            let asked = self.calls[&function].all();
            for (action, resource) in &asked {
                let is_granted = |(known, on): &(String, String)| known == action && matches(on, resource);
                assert!(granted.iter().any(is_granted), "{function} may not {action} on {resource}");
            }
            for (action, on) in granted {
                if !asked.iter().any(|(known, resource)| *known == action && matches(&on, resource)) {
                    idle.insert(told(&function, &action, &on));
                }
            }
        }
        idle
    }
}

#[tokio::test]
#[ignore = "it needs moto besides: cargo xtask test"]
async fn a_poll_and_its_bucket_in_the_templates_environment() {
    let mut stack = Stack::deploy().await;
    story::live(&mut stack.functions).await;
    stack.functions.json("GET", "/v1/polls/lunch/votes/ada", "");
    let exported = stack.functions.export()["written"].clone();
    let votes = stack.read(exported[0].as_str().unwrap());
    assert_eq!((votes.lines().count(), votes.contains("Zoë/2")), (1 + 4, true), "{exported}:\n{votes}");
    story::erase(&mut stack.functions).await;
    // The export closes a poll whose time has come before it writes it for the last time.
    story::cast_until_closing(&mut stack.functions).await;
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    let exported = stack.functions.export()["written"].clone();
    // After such a pause the API looks for what time has made due.
    stack.functions.json("GET", "/v1/polls?status=certified", "");
    assert_eq!(stack.read(exported[0].as_str().unwrap()).lines().count(), 1 + 1, "{exported}");
    let expected: BTreeSet<_> = NOT_ASKED_FOR.iter().map(|(right, _)| (*right).to_owned()).collect();
    assert_eq!(stack.not_asked_for(), expected);
}

fn pseudo_parameters(stack: &str) -> BTreeMap<String, String> {
    let parameters = [
        ("StackName", stack),
        ("Region", REGION),
        ("AccountId", "000000000000"),
        ("Partition", "aws"),
        ("URLSuffix", "amazonaws.com"),
    ];
    parameters.iter().map(|(name, value)| (format!("AWS::{name}"), (*value).to_owned())).collect()
}

fn names(template: &Template, kind: &str) -> Vec<String> {
    template.of(kind).into_iter().map(|(name, _)| name.to_owned()).collect()
}

/// The tables, as the template describes them.
fn make_tables(template: &mut Template, tables: SocketAddr) {
    let described: Vec<_> = template
        .of("AWS::DynamoDB::Table")
        .into_iter()
        .map(|(name, properties)| (name.to_owned(), template.resolve(properties).unwrap()))
        .collect();
    for (name, properties) in described {
        let mut request = json!({});
        for known in
            ["TableName", "KeySchema", "AttributeDefinitions", "BillingMode", "GlobalSecondaryIndexes"]
        {
            if !properties[known].is_null() {
                request[known] = properties[known].clone();
            }
        }
        if let Some(kind) = properties["StreamSpecification"]["StreamViewType"].as_str() {
            request["StreamSpecification"] = json!({"StreamEnabled": true, "StreamViewType": kind});
        }
        let made = call(tables, "dynamodb", "DynamoDB_20120810.CreateTable", &request);
        if let Some(stream) = made["TableDescription"]["LatestStreamArn"].as_str() {
            template.make(&format!("{name}.StreamArn"), stream);
        }
        let table = request["TableName"].as_str().unwrap();
        template.make(&name, table);
        template.make(&format!("{name}.Arn"), format!("{TABLES}{table}"));
    }
}

fn make_bucket(template: &mut Template, stack: &str, cloud: SocketAddr) -> String {
    let bucket = format!("{stack}-results");
    let answer = ask(cloud, &signed(&format!("PUT /{bucket} HTTP/1.1"), "s3", "")).unwrap();
    assert_eq!(answer.target(), "200");
    template.make("ResultsBucket", &bucket);
    template.make("ResultsBucket.Arn", format!("{BUCKETS}{bucket}"));
    bucket
}

fn make_secret(template: &mut Template, stack: &str, cloud: SocketAddr) {
    for name in names(template, "AWS::SecretsManager::Secret") {
        let request = json!({"Name": format!("{stack}-{name}"), "SecretString": ADMIN, "ClientRequestToken": format!("{:032x}", random())});
        let made = call(cloud, "secretsmanager", "secretsmanager.CreateSecret", &request);
        template.make(&name, made["ARN"].as_str().unwrap());
    }
}

/// Asks a service in JSON.
fn call(server: SocketAddr, service: &str, target: &str, request: &Value) -> Value {
    let message = signed("POST / HTTP/1.1", service, &request.to_string())
        .with("x-amz-target", target)
        .with("content-type", "application/x-amz-json-1.1");
    let answer = ask(server, &message).unwrap();
    assert_eq!(answer.target(), "200", "{target}: {}", String::from_utf8_lossy(&answer.body));
    serde_json::from_slice(&answer.body).unwrap()
}

/// A request as one of a known caller's. These servers do not look at signatures.
fn signed(start: &str, service: &str, body: &str) -> Message {
    let caller = format!(
        "AWS4-HMAC-SHA256 Credential=canvass/20260101/{REGION}/{service}/aws4_request, SignedHeaders=host, Signature=0"
    );
    Message::new(start, body).with("host", "localhost").with("authorization", caller)
}

/// The name of the archive that a function runs, without its ending.
fn archive_of(template: &Template, properties: &Value) -> String {
    assert_eq!((&properties["Handler"], &properties["Runtime"]), (&json!(ENTRY), &json!("provided.al2023")));
    let key = template.text(&properties["Code"]["S3Key"]);
    key.strip_prefix("canvass/0.1.0/").unwrap().strip_suffix(".zip").unwrap().to_owned()
}

fn environment_of(template: &Template, properties: &Value) -> Vec<(String, String)> {
    let variables = template.resolve(&properties["Environment"]["Variables"]).unwrap();
    let variables = variables.as_object().unwrap().iter();
    variables.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect()
}

/// Takes the program out of its archive, as Lambda does; without archives, it is the build's own.
fn unpack(function: &str, folder: &Path) -> PathBuf {
    let Some(archives) = variable(ARCHIVES) else {
        let all = [Program::Api, Program::Tally, Program::Export];
        return all.into_iter().find(|program| program.name() == function).unwrap().path();
    };
    let archive = Path::new(&archives).join(format!("{function}.zip"));
    let mut archive = zip::ZipArchive::new(File::open(&archive).unwrap()).unwrap();
    let mut entry = archive.by_name(ENTRY).unwrap();
    let path = folder.join(function);
    let mut program = File::create(&path).unwrap();
    io::copy(&mut entry, &mut program).unwrap();
    program.set_permissions(Permissions::from_mode(entry.unix_mode().unwrap())).unwrap();
    path
}

/// The actions of a function's role, each on a resource that may end with a star.
fn granted(template: &Template, properties: &Value) -> Vec<(String, String)> {
    let role = properties["Role"]["Fn::GetAtt"][0].as_str().unwrap();
    let policies = template.resolve(&template.properties(role)["Policies"]).unwrap();
    let mut granted = Vec::new();
    for policy in policies.as_array().unwrap() {
        for statement in policy["PolicyDocument"]["Statement"].as_array().unwrap() {
            assert_eq!(statement["Effect"], "Allow");
            for (action, on) in each(&statement["Action"]).into_iter().flat_map(|action| {
                each(&statement["Resource"]).into_iter().map(move |on| (action.clone(), on))
            }) {
                granted.push((action, on));
            }
        }
    }
    granted
}

fn each(value: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    value.as_array().map_or_else(|| vec![text(value)], |all| all.iter().map(text).collect())
}

fn matches(pattern: &str, resource: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == resource, |begin| resource.starts_with(begin))
}

/// A right in a few words: the stack's name is another each time.
fn told(function: &str, action: &str, on: &str) -> String {
    match on.strip_prefix(TABLES).and_then(|table| table.splitn(3, '-').nth(2)) {
        Some(table) => format!("{function}: {action} on {table}"),
        None => format!("{function}: {action}"),
    }
}

fn address(url: &str) -> SocketAddr {
    url.trim_start_matches("http://").parse().unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a test's edge")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
