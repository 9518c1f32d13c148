//! Alarms to a topic of Amazon SNS, as a queue receives them from moto's; without the feature, what the program says.

#[cfg(feature = "dynamodb")]
use std::process::Command;

#[cfg(feature = "dynamodb")]
use serde_json::{Value, json};

use crate::harness::run;
#[cfg(feature = "dynamodb")]
use crate::{
    canaries::{Logging, wait_for},
    harness::finish,
};

const TOPIC: &str = "arn:aws:sns:us-east-1:123456789012:alarms";

/// How a server with this topic ends before it serves.
fn check(topic: &str, expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data").display().to_string();
    let output = run(&["serve", "--listen", "127.0.0.1:0", "--data", &data, "--alarm-topic", topic]);
    assert_eq!((output.code, output.stderr), (2, format!("canvass: {expected}\n")), "{topic}");
}

#[cfg(feature = "dynamodb")]
#[test]
fn a_topic_that_is_none_is_refused() {
    let expected = "--alarm-topic: write the topic as arn:aws:sns:REGION:ACCOUNT:NAME; first-in-first-out topics are not published to";
    check("alarms", expected);
    check(&format!("{TOPIC}.fifo"), expected);
}

#[cfg(not(feature = "dynamodb"))]
#[test]
fn a_program_without_topics_says_how_to_get_them() {
    check(
        TOPIC,
        "this program was built without Amazon SNS; build it with: cargo build --release --features dynamodb",
    );
}

/// Amazon's services, as moto has them. One test has it for itself.
#[cfg(feature = "dynamodb")]
struct Amazon {
    endpoint: String,
}

#[cfg(feature = "dynamodb")]
impl Amazon {
    #[expect(clippy::disallowed_methods, reason = "a test's edge")]
    fn find() -> Self {
        Self { endpoint: std::env::var("CANVASS_TEST_SNS").expect("cargo xtask test sets it") }
    }

    /// Asks a service for something by its form.
    fn ask(&self, service: &str, form: &str) -> String {
        let signed = format!(
            "Authorization: AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=x"
        );
        finish(Command::new("curl").args(["-sf", &self.endpoint, "-H", &signed, "-d", form])).stdout
    }

    /// Makes a topic, and a queue that is told what it is.
    fn make_topic(&self) {
        self.ask("sqs", "Action=CreateQueue&Version=2012-11-05&QueueName=alarms");
        self.ask("sns", "Action=CreateTopic&Version=2010-03-31&Name=alarms");
        let queue = "arn:aws:sqs:us-east-1:123456789012:alarms";
        let subscribe =
            format!("Action=Subscribe&Version=2010-03-31&TopicArn={TOPIC}&Protocol=sqs&Endpoint={queue}");
        assert!(self.ask("sns", &subscribe).contains(TOPIC));
    }

    /// The next message that the queue received.
    fn receive(&self) -> Value {
        let queue = format!("{}/123456789012/alarms", self.endpoint);
        let form = format!("Action=ReceiveMessage&Version=2012-11-05&QueueUrl={queue}");
        let body = wait_for(|| {
            let answer = self.ask("sqs", &form);
            answer.split_once("<Body>").map(|(_, rest)| rest.split("</Body>").next().unwrap().to_owned())
        });
        serde_json::from_str(&body.replace("&quot;", "\"").replace("&amp;", "&")).unwrap()
    }

    /// From now on only who is known is answered.
    fn ask_for_signatures(&self) {
        let reset = format!("{}/moto-api/reset-auth", self.endpoint);
        assert_eq!(
            finish(Command::new("curl").args(["-sf", &reset, "-H", "content-type: text/plain", "-d", "0"]))
                .code,
            0
        );
    }
}

/// A server whose alarm has begun, with credentials and an endpoint.
#[cfg(feature = "dynamodb")]
fn alarm(endpoint: &str, credentials: &[(&str, &str)]) -> Logging {
    let address = [("AWS_ENDPOINT_URL_SNS", endpoint), ("AWS_EC2_METADATA_DISABLED", "true")];
    let server = Logging::start(&[&address[..], credentials].concat(), &["--alarm-topic", TOPIC]);
    let poll = json!({"id": "p", "title": "T", "options": [{"id": "a"}], "status": "open"});
    server.admin("POST", "/v1/polls", &poll);
    let mut voters = 0;
    // A vote from before the first look at the alarm begins none.
    wait_for(|| {
        voters += 1;
        let vote = json!({"voterId": format!("canary-{voters}"), "ballot": {"choice": "a"}});
        server.admin("POST", "/v1/polls/p/votes", &vote);
        server.file("log").contains("an alarm has changed").then_some(())
    });
    server
}

/// Waits until the log tells why a notice was not handed over.
#[cfg(feature = "dynamodb")]
fn wait_for_failure(server: &Logging, reason: &str) {
    let told = format!("\"by\":\"topic\",\"error\":\"{reason}\"");
    let log =
        wait_for(|| Some(server.file("log")).filter(|log| log.contains("a notice was not handed over")));
    assert!(log.contains(&told), "{reason}: {log}");
    assert!(!log.contains("canary"), "{log}");
}

#[cfg(feature = "dynamodb")]
#[test]
#[ignore = "needs moto: cargo xtask test"]
fn an_alarm_reaches_who_listens_to_a_topic() {
    let amazon = Amazon::find();
    let credentials = [("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "canary-of-the-secret")];
    let server = alarm(&amazon.endpoint, &credentials);
    wait_for_failure(&server, "SNS answered NotFound");
    // It is tried again, and both that the alarm began and that it is over arrive once the topic is there.
    amazon.make_topic();
    let told = [amazon.receive(), amazon.receive()];
    let mut told = told.map(|message| {
        ["TopicArn", "Subject", "Message"].map(|name| message[name].as_str().unwrap().to_owned())
    });
    told.sort();
    for ([topic, subject, text], what) in told.iter().zip(["has begun", "is over"]) {
        assert_eq!(
            (topic.as_str(), subject.clone()),
            (TOPIC, format!("Canvass: the alarm vote-volume {what}"))
        );
        assert!(
            text.starts_with(&format!("The alarm vote-volume {what}.\n\nIn the last 1 seconds: ")),
            "{text}"
        );
    }
    assert!(!server.file("log").contains("canary"));
    amazon.ask_for_signatures();
    // Amazon's answer has a code; moto puts it where its services for machines have theirs.
    wait_for_failure(&alarm(&amazon.endpoint, &credentials), "SNS answered with an error that has no code");
    wait_for_failure(
        &alarm(&amazon.endpoint, &[]),
        "no credentials for SNS were found, or they cannot be used",
    );
    // Nobody listens at the port of tcpmux.
    wait_for_failure(&alarm("http://127.0.0.1:1", &credentials), "SNS cannot be reached");
}
